// SPDX-License-Identifier: GPL-2.0-only

/**
 * Attaching a domain to a group for the group's owner.
 *
 * @module
 */

import { EBUSY, EINVAL, ENOENT } from "../uapi/errno.ts";
import type { Domain, DomainType } from "./domain.ts";
import { type AttachHandle, type Group, IOMMU_NO_PASID } from "./group.ts";
import { groupSetCoreDomain, groupSetDomain } from "./group_domain.ts";

/**
 * Attaches a domain to all devices of a group. Throws EBUSY when another one
 * is attached, EINVAL when the domain is from another driver, and what the
 * driver throws; EINVAL means that another domain may do. The group is then
 * as before. (Linux: iommu_attach_group.)
 */
export function attachGroup(domain: Domain, group: Group): void {
  const { domain: current } = group;
  if (
    current !== null && current !== group.defaultDomain &&
    current !== group.blockingDomain
  ) throw EBUSY.because("something else is attached to the group");
  if (group.firstDevice.ops !== domain.owner) {
    throw EINVAL.because("the domain is of another IOMMU driver");
  }
  groupSetDomain(group, domain);
}

/**
 * Detaches what is attached: DMA is blocked if the group has an owner, else
 * the default domain is back. (Linux: iommu_detach_group.)
 */
export function detachGroup(_domain: Domain, group: Group): void {
  groupSetCoreDomain(group);
}

/**
 * attachGroup() that also remembers a handle of the caller's, to be found when
 * a device reports something. Throws EBUSY also when there is a handle.
 * (Linux: iommu_attach_group_handle.)
 */
export function attachGroupHandle(
  domain: Domain,
  group: Group,
  handle: AttachHandle | null,
): void {
  if (handle !== null) handle.domain = domain;
  if (group.pasidArray.has(IOMMU_NO_PASID)) {
    throw EBUSY.because("something else is attached to the group");
  }
  group.pasidArray.set(IOMMU_NO_PASID, handle);
  try {
    attachGroup(domain, group);
  } catch (error) {
    group.pasidArray.delete(IOMMU_NO_PASID);
    throw error;
  }
}

/** Undoes attachGroupHandle() (Linux: iommu_detach_group_handle). */
export function detachGroupHandle(domain: Domain, group: Group): void {
  detachGroup(domain, group);
  group.pasidArray.delete(IOMMU_NO_PASID);
}

/**
 * Attaches another domain in place of the present one, without a moment in
 * which DMA is blocked, with a handle in place of the old one. Throws what the
 * driver throws, with group and handle as before.
 * (Linux: iommu_replace_group_handle.)
 */
export function replaceGroupHandle(
  group: Group,
  domain: Domain,
  handle: AttachHandle | null,
): void {
  if (handle !== null) handle.domain = domain;
  groupSetDomain(group, domain);
  // As in an xarray, storing nothing leaves no entry.
  if (handle === null) group.pasidArray.delete(IOMMU_NO_PASID);
  else group.pasidArray.set(IOMMU_NO_PASID, handle);
}

/**
 * The handle of an attachment. Throws ENOENT when there is none, EBUSY when
 * its domain is not of the wanted type. (Linux: iommu_attach_handle_get.)
 */
export function attachHandleGet(
  group: Group,
  pasid: number,
  type?: DomainType,
): AttachHandle {
  const handle = group.pasidArray.get(pasid) ?? null;
  if (handle === null) throw ENOENT;
  if (type !== undefined && handle.domain?.type !== type) throw EBUSY;
  return handle;
}
