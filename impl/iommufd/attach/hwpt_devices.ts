// SPDX-License-Identifier: GPL-2.0-only

/**
 * Attaching as the first iommufd did it: each HWPT knows its devices, and its
 * domain enters the IOAS with the first of them.
 *
 * v3: iommufd_device_do_attach, iommufd_device_setup_msi and
 * iommufd_device_detach of device.c.
 *
 * @module
 */

import { attachGroup, detachGroup } from "../../iommu/attach.ts";
import { deviceIommuCapable } from "../../iommu/device.ts";
import { getGroupResvRegions } from "../../iommu/resv.ts";
import { EINVAL, EPERM } from "../../uapi/errno.ts";
import type { IommufdDevice } from "./device.ts";
import { addDomain, removeDomain } from "../ioas/domains.ts";
import type { HwptPaging } from "../hwpt/hw_pagetable.ts";
import { enforceResvRegions } from "../ioas/reserved.ts";

/**
 * Attach flag: accept that the device can raise interrupts of others. It
 * exists where the revision checks that at attach.
 */
export const IOMMUFD_ATTACH_FLAGS_ALLOW_UNSAFE_INTERRUPT = 1 << 0;

/**
 * Attaches a device; the HWPT gains a user. Throws EINVAL when the domain
 * cannot enforce the coherency that the device has or does not fit otherwise,
 * EPERM when its interrupts are not isolated and the flag is not set,
 * EADDRINUSE when the IOAS maps what the group reserves, the errnos of adding
 * a domain, and what the driver throws.
 */
export function attachToHwpt(
  idev: IommufdDevice,
  hwpt: HwptPaging,
  flags: number,
): void {
  const { devices, ioas, domain } = hwpt;
  const { warnings } = idev.ctx.kernel;
  const { group } = idev.igroup;
  if (idev.enforceCacheCoherency && !hwpt.tryEnforceCacheCoherency()) {
    warnings.on(
      devices.size === 0,
      "iommufd: a new domain does not enforce cache coherency",
    );
    throw EINVAL.because("the domain does not enforce cache coherency");
  }

  const swMsiStart = enforceResvRegions(
    ioas.iopt,
    idev.dev,
    getGroupResvRegions(group),
    { wantSwMsi: true },
  );
  using undo = new DisposableStack();
  undo.defer(() => ioas.iopt.removeReservedIova(idev.dev));
  setupMsi(idev, hwpt, swMsiStart, flags);
  if (!hasGroupOf(hwpt, idev)) {
    attachGroup(domain, group);
    undo.defer(() => detachGroup(domain, group));
  }
  if (devices.size === 0) addDomain(ioas.iopt, domain);

  undo.move();
  hwpt.ref();
  devices.add(idev);
}

/** Detaches a device; the caller gives up the user of the HWPT. */
export function detachFromHwpt(idev: IommufdDevice, hwpt: HwptPaging): void {
  const { devices, ioas, domain } = hwpt;
  devices.delete(idev);
  if (devices.size === 0) {
    removeDomain(ioas.iopt, domain);
    ioas.hwpts.delete(hwpt);
  }
  ioas.iopt.removeReservedIova(idev.dev);
  if (!hasGroupOf(hwpt, idev)) detachGroup(domain, idev.igroup.group);
}

/** Whether a device of the same group is attached (v3: iommufd_hw_pagetable_has_group). */
function hasGroupOf(hwpt: HwptPaging, idev: IommufdDevice): boolean {
  for (const cur of hwpt.devices) {
    if (cur.igroup === idev.igroup) return true;
  }
  return false;
}

/** Makes sure that the device raises its own interrupts only. */
function setupMsi(
  idev: IommufdDevice,
  hwpt: HwptPaging,
  swMsiStart: bigint | undefined,
  flags: number,
): void {
  // The IOMMU remaps interrupts; there is no window in the domain.
  if (deviceIommuCapable(idev.dev, "intr-remap")) return;

  // The platform isolates them, and wants a window in every domain.
  if (idev.dev.iommu.irqDomainMsiRemap) {
    const missing = idev.ctx.kernel.warnings.on(
      swMsiStart === undefined,
      "iommufd: a device without software MSI window on a platform that needs one",
    );
    if (missing || swMsiStart === undefined) {
      throw EPERM.because("the device has no window for its interrupts");
    }
    if (hwpt.msiCookie) return;
    hwpt.domain.getMsiCookie(swMsiStart);
    hwpt.msiCookie = true;
    return;
  }
  if (!(flags & IOMMUFD_ATTACH_FLAGS_ALLOW_UNSAFE_INTERRUPT)) {
    throw EPERM.because("the device's interrupts are not isolated");
  }
}
