// SPDX-License-Identifier: GPL-2.0-only

/**
 * Interrupts that a device raises by writing to memory: whether it can forge
 * somebody else's, and how its writes pass the IOMMU.
 *
 * @module
 */

import { type Iova, plus, toIova } from "../lib/brands.ts";
import { EOPNOTSUPP } from "../uapi/errno.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import type { Device } from "./device.ts";
import {
  type Domain,
  IOMMU_MMIO,
  IOMMU_WRITE,
  type MsiCookie,
} from "./domain.ts";
import type { Group } from "./group.ts";
import { iommuMap } from "./map.ts";

/**
 * True if the interrupts of every device in the group are isolated: one that
 * is not spoils it for all. (Linux: iommu_group_has_isolated_msi.)
 */
export function groupHasIsolatedMsi(group: Group): boolean {
  return group.devices.every((dev) => dev.hasIsolatedMsi);
}

/**
 * For whoever sets up an interrupt of a device, on a platform whose IOMMU
 * translates the write that raises it: maps the page of the doorbell at
 * `msiAddr`. Returns the address that the device must write to.
 *
 * Throws EOPNOTSUPP when the user of the device's domain does not map
 * doorbells, where the revision refuses that; EOVERFLOW when it has mapped as
 * many as it can; ENOMEM, and what the IOMMU's driver throws.
 * (Linux: iommu_dma_prepare_msi.)
 */
export function prepareMsi(dev: Device, msiAddr: number): number {
  const domain = dev.group?.domain;
  if (!domain || domain.type === "identity") return msiAddr;
  const { cookie } = domain;
  if (cookie?.kind === "msi") {
    const page = msiAddr - msiAddr % PAGE_SIZE;
    return doorbellOf(domain, cookie, page) + msiAddr - page;
  }
  if (cookie?.kind === "iommufd") return cookie.swMsi(dev, msiAddr);
  if (dev.iommu.kernel.revision.attach.softwareMsi === "cookie") return msiAddr;
  throw EOPNOTSUPP.because(
    "the device's domain has no user who maps doorbells",
  );
}

/** The IOVA of a doorbell's page in the window of a cookie (Linux: iommu_dma_get_msi_page). */
function doorbellOf(domain: Domain, cookie: MsiCookie, page: number): Iova {
  const { base, doorbells } = cookie;
  let iova = doorbells.get(page);
  if (iova === undefined) {
    domain.owner.iommu.kernel.step("msi.page");
    iova = plus(toIova(base), doorbells.size * PAGE_SIZE);
    iommuMap(domain, iova, page, PAGE_SIZE, IOMMU_WRITE | IOMMU_MMIO);
    doorbells.set(page, iova);
  }
  return iova;
}
