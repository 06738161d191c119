// SPDX-License-Identifier: GPL-2.0-only

/**
 * Changing the domain of a group: each device is attached, and either all of
 * them end up with the new domain or all keep the old one.
 *
 * Internal to the IOMMU core; users call attach.ts and dma_owner.ts.
 *
 * @module
 */

import {
  EINVAL,
  ENODEV,
  EOPNOTSUPP,
  type Errno,
  errnoOf,
} from "../uapi/errno.ts";
import { KernelBug } from "../kernel/warn.ts";
import { IOMMU_HWPT_ALLOC_PASID } from "../uapi/iommufd.ts";
import type { Device, IommuOps } from "./device.ts";
import type { Domain } from "./domain.ts";
import type { Group } from "./group.ts";

/**
 * Allocates a domain that the caller maps into, for devices behind the IOMMU
 * of `dev`. Throws ENODEV without IOMMU, ENOMEM.
 * (Linux: iommu_paging_domain_alloc; iommu_domain_alloc in older kernels.)
 */
export function pagingDomainAlloc(dev: Device): Domain {
  if (dev.group === null || dev.ops === null) {
    throw ENODEV.because("no IOMMU driver has the device (probeDevice)");
  }
  return dev.ops.domainAllocPaging(dev);
}

/**
 * Gives all devices of a group a new domain. If one refuses, those before it
 * go back, and its errno is thrown. Throws EBUSY while one of them is reset.
 * (Linux: __iommu_group_set_domain.)
 */
export function groupSetDomain(group: Group, domain: Domain): void {
  if (group.domain === domain) return;
  group.checkNoReset();
  for (const [index, dev] of group.devices.entries()) {
    try {
      deviceSetDomain(group, dev, domain, group.domain);
    } catch (error) {
      revert(group, index, domain);
      throw error;
    }
  }
  group.domain = domain;
}

/**
 * The same where failing is not an option: every device is tried, and one that
 * refuses is blocked instead. A failure is a warning, because drivers must
 * accept a domain that worked before; the errno is returned.
 * (Linux: __iommu_group_set_domain_nofail.)
 */
export function groupSetDomainNofail(
  group: Group,
  domain: Domain,
): Errno | undefined {
  if (group.domain === domain) return undefined;
  let result: Errno | undefined;
  for (const dev of group.devices) {
    const what = "attach a core domain";
    result = tryDeviceSetDomain(group, dev, domain, group.domain, what) ??
      result;
  }
  group.domain = domain;
  return result;
}

/**
 * Back to what the core uses for the group: the blocking domain if it has an
 * owner, else the default domain. (Linux: __iommu_group_set_core_domain.)
 */
export function groupSetCoreDomain(group: Group): void {
  const domain = group.owner !== null
    ? group.blockingDomain
    : group.defaultDomain;
  if (domain === null) {
    throw new KernelBug(`IOMMU group ${group.id} has no domain to return to`);
  }
  groupSetDomainNofail(group, domain);
}

/** Attaches one device of the group in place of `old`. Throws what the driver throws. (Linux: __iommu_device_set_domain.) */
export function deviceSetDomain(
  group: Group,
  dev: Device,
  domain: Domain,
  old: Domain | null,
): void {
  // A blocking domain lacks the 1:1 mapping that such a device cannot be without.
  const blocking = domain.type === "blocked" || domain === group.blockingDomain;
  if (dev.requireDirect && blocking) {
    throw EINVAL.because("the device needs a 1:1 map and cannot be blocked");
  }
  domain.attachDev(dev, old);
}

/**
 * Makes sure that the group has a blocking domain: the driver's own, or an
 * empty paging domain. Throws ENOMEM. (Linux: __iommu_group_alloc_blocking_domain.)
 */
export function allocBlockingDomain(group: Group): void {
  if (group.blockingDomain !== null) return;
  const dev = group.firstDevice;
  group.blockingDomain = dev.ops?.blockedDomain ?? pagingDomainAlloc(dev);
}

/**
 * The default domain for a new group. Throws EOPNOTSUPP when the driver wants
 * an identity domain that it does not have, ENOMEM.
 * (Linux: iommu_group_alloc_default_domain.)
 */
export function allocDefaultDomain(dev: Device, ops: IommuOps): Domain {
  if (ops.defaultDomain !== undefined) return ops.defaultDomain;
  if (ops.defDomainType?.(dev) === "identity") {
    if (ops.identityDomain === undefined) throw EOPNOTSUPP;
    return ops.identityDomain;
  }
  const domain = pasidDomainAlloc(dev, ops) ?? pagingDomainAlloc(dev);
  try {
    domain.getDmaCookie();
  } catch (error) {
    domain.free();
    throw error;
  }
  return domain;
}

/** A domain that the PASIDs of a device can be used beside, if it has some and the driver, asked for that, has one. */
function pasidDomainAlloc(dev: Device, ops: IommuOps): Domain | undefined {
  const { defaultDomainForPasids } = dev.iommu.kernel.revision.attach;
  if (!defaultDomainForPasids || dev.maxPasids === 0) return undefined;
  try {
    return ops.domainAllocPagingFlags?.(dev, IOMMU_HWPT_ALLOC_PASID, undefined);
  } catch (error) {
    if (EOPNOTSUPP.is(error)) return undefined;
    throw error;
  }
}

/**
 * Attaches the devices before the one at `failed` to the group's present domain
 * again, in place of `left`; and that one, which did not leave it, where the
 * revision does.
 */
function revert(group: Group, failed: number, left: Domain): void {
  const { devices } = group;
  // Only a group that has no device yet is without.
  const domain = group.domain!;
  const what = "go back to a domain";
  for (const dev of devices.slice(0, failed)) {
    tryDeviceSetDomain(group, dev, domain, left, what);
  }
  if (!group.iommu.kernel.revision.attach.revertSkipsFailed) {
    tryDeviceSetDomain(group, devices[failed]!, domain, domain, what);
  }
}

/**
 * Attaches one device, or else tries to block it, so that it uses nothing that
 * is about to be freed. The errno, if it failed, with a warning that says at
 * what.
 */
function tryDeviceSetDomain(
  group: Group,
  dev: Device,
  domain: Domain,
  old: Domain | null,
  what: string,
): Errno | undefined {
  const errno = errnoOf(() => deviceSetDomain(group, dev, domain, old));
  if (errno === undefined) return undefined;
  const blocking = group.blockingDomain;
  if (blocking !== null && blocking !== domain) tryAttach(blocking, dev, old);
  const text = `IOMMU driver of ${dev.name} failed to ${what}: ${errno}`;
  group.iommu.kernel.warnings.on(true, text);
  return errno;
}

/** Attaches where a refusal could not be handled (Linux ignores the result too). */
export function tryAttach(
  domain: Domain,
  dev: Device,
  old: Domain | null,
): void {
  errnoOf(() => domain.attachDev(dev, old));
}
