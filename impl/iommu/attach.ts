// SPDX-License-Identifier: GPL-2.0-only

/**
 * Attaching a domain to a group for the group's owner: for its DMA without
 * PASID, or with one.
 *
 * @module
 */

import {
  EBUSY,
  EINVAL,
  ENODEV,
  ENOENT,
  EOPNOTSUPP,
  errnoOf,
} from "../uapi/errno.ts";
import { XarrayNodes } from "../lib/xarray_nodes.ts";
import { type Device, deviceIommuOps } from "./device.ts";
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
  checkOwner(domain, group.firstDevice);
  groupSetDomain(group, domain);
}

/** Throws EINVAL for a domain of another driver than a device's (Linux: domain_iommu_ops_compatible). */
function checkOwner(domain: Domain, dev: Device): void {
  if (dev.ops !== domain.owner) {
    throw EINVAL.because("the domain is of another IOMMU driver");
  }
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
  handle: AttachHandle,
): void {
  if (group.pasidArray.has(IOMMU_NO_PASID)) {
    throw EBUSY.because("something else is attached to the group");
  }
  allocEntry(group, IOMMU_NO_PASID);
  attachGroup(domain, group);
  handle.domain = domain;
  group.pasidArray.set(IOMMU_NO_PASID, handle);
}

/** Undoes attachGroupHandle() (Linux: iommu_detach_group_handle). */
export function detachGroupHandle(domain: Domain, group: Group): void {
  detachGroup(domain, group);
  group.pasidArray.delete(IOMMU_NO_PASID);
}

/**
 * Attaches another domain in place of the present one, without a moment in
 * which DMA is blocked, with a handle in place of the old one. Throws EINVAL
 * when the domain is from another driver, and what the driver throws, with
 * group and handle as before. (Linux: iommu_replace_group_handle.)
 */
export function replaceGroupHandle(
  group: Group,
  domain: Domain,
  handle: AttachHandle,
): void {
  if (domain.isAttachable) checkOwner(domain, group.firstDevice);
  groupSetDomain(group, domain);
  handle.domain = domain;
  group.pasidArray.set(IOMMU_NO_PASID, handle);
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
  const handle = group.pasidArray.get(pasid);
  if (handle === undefined) throw ENOENT;
  if (type !== undefined && handle.domain?.type !== type) throw EBUSY;
  return handle;
}

/**
 * Attaches a domain to the DMA with a PASID of all devices of a device's
 * group, those that have PASIDs; with a handle that is found when they report
 * something.
 *
 * Throws ENODEV for a device without group; EOPNOTSUPP when the domain, or the
 * driver's blocked domain that a detach needs, cannot be attached to a PASID;
 * EINVAL for a domain of another driver, for IOMMU_NO_PASID, and for a PASID
 * that one of the devices does not have; EBUSY when something is attached;
 * and what the driver throws, with nothing attached then.
 * (Linux: iommu_attach_device_pasid.)
 */
export function attachDevicePasid(
  domain: Domain,
  dev: Device,
  pasid: number,
  handle: AttachHandle,
): void {
  const group = groupForPasid(domain, dev, pasid);
  if (withPasids(group).some(({ maxPasids }) => pasid >= maxPasids)) {
    throw EINVAL.because("a device of the group does not have the PASID");
  }
  if (group.pasidArray.has(pasid)) {
    throw EBUSY.because("something else is attached to the PASID");
  }
  allocEntry(group, pasid);
  setGroupPasid(domain, group, pasid, null);
  handle.domain = domain;
  group.pasidArray.set(pasid, handle);
}

/**
 * Attaches another domain to a PASID in place of the present one, with another
 * handle. Throws as {@link attachDevicePasid}, but EINVAL when nothing is
 * attached; domain and handle are as before then.
 * (Linux: iommu_replace_device_pasid.)
 */
export function replaceDevicePasid(
  domain: Domain,
  dev: Device,
  pasid: number,
  handle: AttachHandle,
): void {
  const group = groupForPasid(domain, dev, pasid);
  const old = group.pasidArray.get(pasid)?.domain ?? null;
  if (old === null) throw EINVAL.because("nothing is attached to the PASID");
  if (old !== domain) setGroupPasid(domain, group, pasid, old);
  handle.domain = domain;
  group.pasidArray.set(pasid, handle);
}

/** Undoes {@link attachDevicePasid}: DMA with the PASID is blocked (Linux: iommu_detach_device_pasid). */
export function detachDevicePasid(
  domain: Domain,
  dev: Device,
  pasid: number,
): void {
  const group = dev.group!;
  for (const device of withPasids(group)) blockPasid(device, pasid, domain);
  group.pasidArray.delete(pasid);
}

/** The group of a device that a domain is to be attached to for a PASID. Throws ENODEV, EOPNOTSUPP, EINVAL, EBUSY. */
function groupForPasid(domain: Domain, dev: Device, pasid: number): Group {
  if (dev.group === null) throw ENODEV.because("the device has no IOMMU group");
  const blocked = deviceIommuOps(dev).blockedDomain;
  if (domain.setDevPasid === undefined || blocked?.setDevPasid === undefined) {
    throw EOPNOTSUPP.because(
      "the IOMMU driver cannot attach to a PASID (Domain.setDevPasid)",
    );
  }
  checkOwner(domain, dev);
  if (pasid === IOMMU_NO_PASID) throw EINVAL.because("this is no PASID");
  dev.group.checkNoReset();
  return dev.group;
}

/** What Linux allocates for a new handle; newer ones first reserve its place. */
function allocEntry({ pasidArray, iommu }: Group, pasid: number): void {
  const { kernel } = iommu;
  const rootHoldsEntry = !kernel.revision.attach.allocatesByPasid;
  const nodes = () => XarrayNodes.of(pasidArray.keys(), { rootHoldsEntry });
  kernel.allocNodes(nodes, pasid, pasid);
}

/** The devices of a group that can send a PASID; the others do not care. */
function withPasids(group: Group): Device[] {
  return group.devices.filter(({ maxPasids }) => maxPasids > 0);
}

/**
 * Gives the devices of a group a new domain for a PASID. If one refuses, those
 * before it go back to `old`, or are blocked when there is none, and its errno
 * is thrown. (Linux: __iommu_set_group_pasid.)
 */
function setGroupPasid(
  domain: Domain,
  group: Group,
  pasid: number,
  old: Domain | null,
): void {
  const devices = withPasids(group);
  for (const [index, dev] of devices.entries()) {
    try {
      domain.setDevPasid!(dev, pasid, old);
    } catch (error) {
      for (const done of devices.slice(0, index)) {
        const isBack = old !== null && mustSetPasid(old, done, pasid, domain);
        if (!isBack) blockPasid(done, pasid, domain);
      }
      throw error;
    }
  }
}

/** Blocks the DMA of a device with a PASID (Linux: iommu_remove_dev_pasid). */
function blockPasid(dev: Device, pasid: number, from: Domain): void {
  mustSetPasid(deviceIommuOps(dev).blockedDomain!, dev, pasid, from);
}

/** Gives a device a domain that it must not refuse: false, with a warning, if it does. */
function mustSetPasid(
  domain: Domain,
  dev: Device,
  pasid: number,
  from: Domain,
): boolean {
  const errno = errnoOf(() => domain.setDevPasid!(dev, pasid, from));
  const text = `IOMMU driver of ${dev.name} failed to attach PASID ${pasid} ` +
    `to a ${domain.type} domain: ${errno}`;
  return !dev.iommu.kernel.warnings.on(errno !== undefined, text);
}
