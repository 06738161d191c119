// SPDX-License-Identifier: GPL-2.0-only

/**
 * DMA ownership: who may decide what a group's devices reach.
 *
 * A group belongs to the kernel's own drivers, through the DMA API, or to one
 * owner such as an iommufd context or a VFIO container. While it has an owner
 * and nothing is attached, its DMA is blocked.
 *
 * @module
 */

import { EBUSY, EINVAL, ENODEV, EPERM } from "../uapi/errno.ts";
import { KernelBug } from "../kernel/warn.ts";
import type { Device } from "./device.ts";
import type { Group } from "./group.ts";
import {
  allocBlockingDomain,
  groupSetCoreDomain,
  groupSetDomain,
} from "./group_domain.ts";

const OWNED = EPERM.because(
  "another owner or a kernel driver has the group of the device",
);

/**
 * Makes `owner` the only owner of a group, once: claiming again is refused to
 * the same owner too. Throws EPERM when the group has an owner or a kernel
 * driver, EBUSY when something is attached, EINVAL (with a warning) without
 * owner or when a device cannot be blocked, ENOMEM.
 * (Linux: iommu_group_claim_dma_owner.)
 */
export function groupClaimDmaOwner(group: Group, owner: object | null): void {
  if (isNobody(group.iommu.kernel.warnings, owner)) throw EINVAL;
  if (group.ownerCnt > 0) throw OWNED;
  takeOwnership(group, owner);
}

/**
 * Makes `owner` the owner of the device's group, or counts one more claim if
 * it is already: devices of one group can be claimed one by one by the same
 * owner. Throws ENODEV when the device has no group, EPERM when another owner
 * or a kernel driver has it, EBUSY when something is attached, EINVAL (with a
 * warning) without owner or when a device cannot be blocked, ENOMEM.
 * (Linux: iommu_device_claim_dma_owner.)
 */
export function deviceClaimDmaOwner(dev: Device, owner: object | null): void {
  if (isNobody(dev.iommu.kernel.warnings, owner)) throw EINVAL;
  const { group } = dev;
  if (group === null) {
    throw ENODEV.because("no IOMMU driver has the device (probeDevice)");
  }
  if (group.ownerCnt === 0) {
    takeOwnership(group, owner);
    return;
  }
  if (group.owner !== owner) throw OWNED;
  group.ownerCnt++;
}

/**
 * Undoes one deviceClaimDmaOwner(). With the last one the group goes back to
 * its default domain. A warning without a claim. (Linux:
 * iommu_device_release_dma_owner.)
 */
export function deviceReleaseDmaOwner(dev: Device): void {
  const { group } = dev;
  if (group === null) {
    throw new KernelBug(`${dev.name} left its IOMMU group while it was owned`);
  }
  if (group.ownerCnt > 1) group.ownerCnt--;
  else groupReleaseDmaOwner(group);
}

/**
 * A kernel driver that does DMA through the DMA API takes the device: no one
 * can claim its group until deviceUnuseDefaultDomain(). Throws EBUSY when it
 * has an owner. Does nothing for a device without group.
 * (Linux: iommu_device_use_default_domain.)
 */
export function deviceUseDefaultDomain(dev: Device): void {
  const { group } = dev;
  if (group === null) return;
  const taken = group.domain !== group.defaultDomain || group.owner !== null ||
    group.pasidArray.size > 0;
  if (group.ownerCnt > 0 && taken) throw EBUSY;
  group.ownerCnt++;
}

/** Undoes deviceUseDefaultDomain(). (Linux: iommu_device_unuse_default_domain.) */
export function deviceUnuseDefaultDomain(dev: Device): void {
  const { group } = dev;
  if (group === null) return;
  const unused = group.iommu.kernel.warnings.on(
    group.ownerCnt === 0 || group.pasidArray.size > 0,
    `IOMMU group ${group.id} is not used by the DMA API`,
  );
  if (!unused) group.ownerCnt--;
}

/** A null owner would mean the DMA API: no one can claim in its name. */
function isNobody(
  warnings: { on(condition: boolean, what: string): boolean },
  owner: object | null,
): owner is null {
  return warnings.on(owner === null, "DMA ownership is claimed for nobody");
}

/** Blocks the DMA of a group that nobody owns and notes its owner (Linux: __iommu_take_dma_ownership). */
function takeOwnership(group: Group, owner: object): void {
  const attached = group.domain !== null &&
    group.domain !== group.defaultDomain;
  if (attached || group.pasidArray.size > 0) {
    throw EBUSY.because("something is attached to the group");
  }
  allocBlockingDomain(group);
  groupSetDomain(group, group.blockingDomain!);
  group.owner = owner;
  group.ownerCnt++;
}

/** Undoes all claims; a warning without a claim. (Linux: iommu_group_release_dma_owner.) */
export function groupReleaseDmaOwner(group: Group): void {
  const unowned = group.iommu.kernel.warnings.on(
    group.ownerCnt === 0 || group.owner === null || group.pasidArray.size > 0,
    `DMA ownership of IOMMU group ${group.id} is released but cannot be`,
  );
  if (unowned) return;
  group.ownerCnt = 0;
  group.owner = null;
  groupSetCoreDomain(group);
}
