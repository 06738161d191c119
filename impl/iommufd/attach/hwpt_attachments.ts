// SPDX-License-Identifier: GPL-2.0-only

/**
 * Attachments that are kept with each HWPT, as the first iommufd did: its
 * domain enters the IOAS with the first of its devices.
 *
 * v3: iommufd_device_do_attach, iommufd_device_setup_msi and
 * iommufd_device_detach of device.c.
 *
 * @module
 */

import { attachGroup, detachGroup } from "../../iommu/attach.ts";
import { deviceIommuCapable } from "../../iommu/device.ts";
import { type Group, IOMMU_NO_PASID } from "../../iommu/group.ts";
import { pagingDomainAlloc } from "../../iommu/group_domain.ts";
import { getGroupResvRegions } from "../../iommu/resv.ts";
import { KernelBug } from "../../kernel/warn.ts";
import { EINVAL, EPERM } from "../../uapi/errno.ts";
import { type HwPagetable, HwptPaging } from "../hwpt/hw_pagetable.ts";
import { addDomain, removeDomain } from "../ioas/domains.ts";
import type { Ioas } from "../ioas/ioas.ts";
import { enforceResvRegions } from "../ioas/reserved.ts";
import type {
  Attachment,
  Attachments,
  AttachStrategy,
  Change,
} from "./attachments.ts";
import type { IommufdDevice } from "./device.ts";

/**
 * Attach flag: accept that the device can raise interrupts of others. It
 * exists where the revision checks that at attach.
 */
export const IOMMUFD_ATTACH_FLAGS_ALLOW_UNSAFE_INTERRUPT = 1 << 0;

/** The strategy of one kernel. */
export class AttachPerHwpt implements AttachStrategy {
  /** The devices of each HWPT that has some. */
  readonly #devices: Map<HwptPaging, Set<IommufdDevice>> = new Map();

  /** Nothing is attached yet. */
  attachmentsOf(group: Group): Attachments {
    return new HwptAttachments(group, this.#devices);
  }

  /** Interrupts are looked at when a device attaches. */
  checkBind(): void {}

  /** The domain is filled when its first device is attached. */
  changeToNew(ioas: Ioas, idev: IommufdDevice, change: Change) {
    const { ctx, dev } = idev;
    const hwpt = HwptPaging.create(ctx, ioas, () => pagingDomainAlloc(dev));
    const old = ctx.objects.orDestroy(hwpt, () => change.to(hwpt));
    return { hwpt, old };
  }
}

/** What the devices of a group are attached to: each may have a HWPT of its own. */
class HwptAttachments implements Attachments {
  readonly #group: Group;
  readonly #all: Map<HwptPaging, Set<IommufdDevice>>;
  readonly #hwpts: Map<IommufdDevice, HwptPaging> = new Map();

  constructor(group: Group, all: Map<HwptPaging, Set<IommufdDevice>>) {
    this.#group = group;
    this.#all = all;
  }

  /** Whether no device is attached. */
  get isEmpty(): boolean {
    return this.#hwpts.size === 0;
  }

  /** One for each device. */
  *[Symbol.iterator](): Generator<Attachment> {
    for (const [idev, hwpt] of this.#hwpts) {
      yield { pasid: IOMMU_NO_PASID, hwpt, devices: new Set([idev]) };
    }
  }

  /**
   * Throws EINVAL also when the domain cannot enforce the coherency that the
   * device has, EPERM when its interrupts are not isolated and the flag is not
   * set, and the errnos of adding a domain.
   */
  attach(
    idev: IommufdDevice,
    { paging }: HwPagetable,
    pasid: number,
    flags: number,
  ): void {
    if (pasid !== IOMMU_NO_PASID) {
      throw new KernelBug("This revision cannot attach a PASID");
    }
    const { ioas, domain } = paging;
    const devices = this.#all.get(paging) ?? new Set();
    if (idev.enforceCacheCoherency && !paging.tryEnforceCacheCoherency()) {
      idev.ctx.kernel.warnings.on(
        devices.size === 0,
        "iommufd: a new domain does not enforce cache coherency",
      );
      throw EINVAL.because("the domain does not enforce cache coherency");
    }

    const swMsiStart = enforceResvRegions(
      ioas.iopt,
      idev.dev,
      getGroupResvRegions(this.#group),
      { wantSwMsi: true },
    );
    using undo = new DisposableStack();
    undo.defer(() => ioas.iopt.removeReservedIova(idev.dev));
    setupMsi(idev, paging, swMsiStart, flags);
    if (!this.#uses(paging)) {
      attachGroup(domain, this.#group);
      undo.defer(() => detachGroup(domain, this.#group));
    }
    if (devices.size === 0) addDomain(ioas.iopt, domain);

    undo.move();
    paging.ref();
    this.#all.set(paging, devices.add(idev));
    this.#hwpts.set(idev, paging);
    ioas.hwpts.add(paging);
  }

  /** The domain leaves the IOAS with its last device. */
  detach(idev: IommufdDevice): HwPagetable {
    const hwpt = this.#hwpts.get(idev);
    if (hwpt === undefined) {
      throw new KernelBug(`Device ${idev.dev.name} is not attached`);
    }
    this.#hwpts.delete(idev);
    const { ioas, domain } = hwpt;
    const devices = this.#all.get(hwpt)!;
    devices.delete(idev);
    if (devices.size === 0) {
      this.#all.delete(hwpt);
      removeDomain(ioas.iopt, domain);
      ioas.hwpts.delete(hwpt);
    }
    ioas.iopt.removeReservedIova(idev.dev);
    if (!this.#uses(hwpt)) detachGroup(domain, this.#group);
    return hwpt;
  }

  /** There is no such thing. */
  replace(): never {
    throw new KernelBug("This revision cannot replace an attachment");
  }

  /** Whether a device of the group is attached to a HWPT (v3: iommufd_hw_pagetable_has_group). */
  #uses(hwpt: HwptPaging): boolean {
    return [...this.#hwpts.values()].some((used) => used === hwpt);
  }
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
    throw EPERM.because(
      "the device's interrupts are not isolated (Device.hasIsolatedMsi)",
    );
  }
}
