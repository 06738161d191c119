// SPDX-License-Identifier: GPL-2.0-only

/**
 * Devices come and go: joining a group, getting its domain, leaving it.
 *
 * @module
 */

import type { Iova } from "../lib/brands.ts";
import { EINVAL, ENODEV, errnoOf } from "../uapi/errno.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import type { Device, IommuOps } from "./device.ts";
import type { Domain } from "./domain.ts";
import type { Group } from "./group.ts";
import {
  allocDefaultDomain,
  deviceSetDomain,
  groupSetDomainNofail,
  tryAttach,
} from "./group_domain.ts";
import { iommuIovaToPhys, iommuMap } from "./map.ts";
import { getResvRegions, type ResvRegion } from "./resv.ts";

/**
 * Puts a device under its IOMMU driver: it joins the group that the driver
 * says and uses that group's domain, or the new default domain of a new group.
 * Does nothing for a device that has a group. Throws ENODEV without IOMMU,
 * ENOMEM, and what the driver throws. (Linux: iommu_probe_device.)
 */
export function probeDevice(dev: Device): void {
  const { ops } = dev;
  if (ops === null) throw ENODEV;
  if (dev.group !== null) return;

  const { kernel } = dev.iommu;
  kernel.step("probe.alloc");
  ops.probeDevice?.(dev);
  const group = findGroup(dev, ops);
  dev.group = group;
  try {
    // Its place there, and the links from the device to the group and back.
    kernel.step("iommuGroup.join");
    group.devices.push(dev);
    joinDomain(dev, group, ops);
  } catch (error) {
    leaveGroup(dev, group, ops);
    throw error;
  }
}

/**
 * Takes a device from its IOMMU driver. Whoever owned its DMA has let go
 * before. Does nothing for a device without group. (Linux: iommu_release_device.)
 */
export function releaseDevice(dev: Device): void {
  const { group, ops } = dev;
  if (group === null || ops === null) return;
  leaveGroup(dev, group, ops);
}

/** Asks the driver for the device's group; without one the driver lets go of the device. */
function findGroup(dev: Device, ops: IommuOps): Group {
  const { kernel } = dev.iommu;
  try {
    // The IOMMU's link to the device, and the device's to the IOMMU.
    kernel.step("probe.link");
    return ops.deviceGroup(dev);
  } catch (error) {
    ops.releaseDevice?.(dev);
    throw error;
  }
}

/** Takes back the device's place in the group, and the group's domains with its last device. */
function leaveGroup(dev: Device, group: Group, ops: IommuOps): void {
  const at = group.devices.indexOf(dev);
  if (at >= 0) group.devices.splice(at, 1);
  const last = group.devices.length === 0;
  // An empty group can have no owner, and nothing else attached.
  dev.iommu.kernel.warnings.on(
    at >= 0 && last &&
      (group.ownerCnt > 0 || group.domain !== group.defaultDomain),
    `IOMMU group ${group.id} lost its last device while in use`,
  );

  const releaseDomain = releaseDomainOf(dev, ops);
  if (releaseDomain !== undefined) tryAttach(releaseDomain, dev, group.domain);
  ops.releaseDevice?.(dev);
  if (last) {
    group.defaultDomain?.free();
    group.blockingDomain?.free();
    group.defaultDomain = null;
    group.blockingDomain = null;
    group.domain = null;
  }
  dev.group = null;
  dev.requireDirect = false;
  group.put();
}

/** What a device is left with: where it has a 1:1 map that it needs, nothing that blocks, if the driver has such. */
function releaseDomainOf(dev: Device, ops: IommuOps): Domain | undefined {
  const { releaseDomain, blockedDomain, identityDomain } = ops;
  const { releaseKeepsDirect } = dev.iommu.kernel.revision.attach;
  const blocks = dev.requireDirect && releaseDomain === blockedDomain;
  return releaseKeepsDirect && blocks
    ? identityDomain ?? releaseDomain
    : releaseDomain;
}

/** Attaches a new device of the group to its present domain, or sets up the default domain. */
function joinDomain(dev: Device, group: Group, ops: IommuOps): void {
  if (group.defaultDomain === null) {
    setupDefaultDomain(dev, group, ops);
    return;
  }
  tryDirectMappings(group.defaultDomain, dev);
  deviceSetDomain(group, dev, group.domain!, null);
}

/**
 * The first domain of a group. Regions that must be 1:1 are mapped before the
 * device is attached, or after it if the driver only allows that.
 * (Linux: iommu_setup_default_domain.)
 */
function setupDefaultDomain(dev: Device, group: Group, ops: IommuOps): void {
  const domain = allocDefaultDomain(dev, ops);
  const mapped = tryDirectMappings(domain, dev);
  group.defaultDomain = domain;
  const errno = groupSetDomainNofail(group, domain);
  if (errno !== undefined) throw errno;
  if (!mapped) createDirectMappings(domain, dev);
}

/** False if the mappings could not be made. */
function tryDirectMappings(domain: Domain, dev: Device): boolean {
  return errnoOf(() => createDirectMappings(domain, dev)) === undefined;
}

/**
 * Maps a device's direct regions 1:1 in a DMA API domain and notes whether it
 * has any that it cannot do without. (Linux: iommu_create_device_direct_mappings.)
 */
function createDirectMappings(domain: Domain, dev: Device): void {
  const pageSize = domain.pageSizes[0];
  const { warnings } = dev.iommu.kernel;
  if (
    warnings.on(
      domain.isDmaDomain && pageSize === undefined,
      `The default domain of ${dev.name} has no page sizes`,
    )
  ) throw EINVAL;

  for (const region of getResvRegions(dev)) {
    if (region.type === "direct") dev.requireDirect = true;
    else if (region.type !== "direct-relaxable") continue;
    if (domain.isDmaDomain) mapDirect(domain, region, pageSize ?? PAGE_SIZE);
  }
}

/** The next multiple of a page size, which is exact in a number. */
function alignUp(addr: bigint, pageSize: number): number {
  const mask = BigInt(pageSize - 1);
  return Number((addr + mask) & ~mask);
}

/** Maps the pages of a region that another device's region has not mapped. */
function mapDirect(
  domain: Domain,
  region: ResvRegion,
  pageSize: number,
): void {
  const end = alignUp(region.start + region.length, pageSize);
  let first = alignUp(region.start, pageSize);
  for (let addr = first; addr <= end; addr += pageSize) {
    if (addr < end && iommuIovaToPhys(domain, BigInt(addr)) === 0) continue;
    const size = addr - first;
    iommuMap(domain, first as Iova, first, size, region.prot ?? 0);
    first = addr + pageSize;
  }
}
