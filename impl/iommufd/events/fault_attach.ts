// SPDX-License-Identifier: GPL-2.0-only

/**
 * Attaching a group to a HWPT, for one PASID or none, and answering the page faults that came through
 * an attachment which ends.
 *
 * A group is attached once, for the first of its devices, and detached with
 * the last. That its devices fault is for the IOMMU's driver to switch on, as
 * the domain says.
 *
 * Linux: iommufd_hwpt_attach_device and its neighbours in device.c.
 *
 * @module
 */

import {
  attachDevicePasid,
  attachGroupHandle,
  attachHandleGet,
  detachDevicePasid,
  detachGroupHandle,
  replaceDevicePasid,
  replaceGroupHandle,
} from "../../iommu/attach.ts";
import type { Device } from "../../iommu/device.ts";
import { AttachHandle, IOMMU_NO_PASID } from "../../iommu/group.ts";
import { EINVAL } from "../../uapi/errno.ts";
import type { IommufdDevice } from "../attach/device.ts";
import type { HwPagetable } from "../hwpt/hw_pagetable.ts";

/** An attachment that iommufd made (Linux: struct iommufd_attach_handle). */
export class IommufdAttachHandle extends AttachHandle {
  /** The device that it was made for; faults of its whole group carry its id. */
  readonly idev: IommufdDevice;

  /** An attachment that is about to be made. */
  constructor(idev: IommufdDevice) {
    super();
    this.idev = idev;
  }
}

/** How a HWPT gets to the DMA of a group, for one PASID or none. */
export interface HwptLink {
  /** For the first device of a group. Throws EINVAL if another HWPT may fit. */
  attach(hwpt: HwPagetable, idev: IommufdDevice, pasid: number): void;
  /** After the last one. */
  detach(hwpt: HwPagetable, idev: IommufdDevice, pasid: number): void;
  /** In place of `old`. If it throws nothing has changed. */
  replace(
    idev: IommufdDevice,
    hwpt: HwPagetable,
    old: HwPagetable,
    pasid: number,
  ): void;
}

/** Through the IOMMU core. */
export const CORE_LINK: HwptLink = {
  attach: hwptAttachDevice,
  detach: hwptDetachDevice,
  replace: hwptReplaceDevice,
};

/** Attaches a device's group. Throws ENOMEM, EINVAL, and what the drivers throw. (Linux: iommufd_hwpt_attach_device.) */
function hwptAttachDevice(
  hwpt: HwPagetable,
  idev: IommufdDevice,
  pasid: number,
): void {
  const { domain } = hwpt;
  checkFaults(hwpt, idev.dev);
  idev.ctx.kernel.step("attach.handle");
  const handle = new IommufdAttachHandle(idev);
  if (pasid === IOMMU_NO_PASID) {
    attachGroupHandle(domain, idev.dev.group!, handle);
  } else attachDevicePasid(domain, idev.dev, pasid, handle);
}

/** Detaches a device's group; faults that came through are answered (Linux: iommufd_hwpt_detach_device). */
function hwptDetachDevice(
  hwpt: HwPagetable,
  idev: IommufdDevice,
  pasid: number,
): void {
  const { domain } = hwpt;
  const group = idev.dev.group!;
  const handle = attachHandleGet(group, pasid);
  if (pasid === IOMMU_NO_PASID) detachGroupHandle(domain, group);
  else detachDevicePasid(domain, idev.dev, pasid);
  hwpt.fault?.autoResponse(handle);
}

/**
 * Attaches a device's group to `hwpt` in place of `old`, whose faults are
 * answered. If it throws nothing has changed. Throws as
 * {@link hwptAttachDevice}. (Linux: iommufd_hwpt_replace_device.)
 */
function hwptReplaceDevice(
  idev: IommufdDevice,
  hwpt: HwPagetable,
  old: HwPagetable,
  pasid: number,
): void {
  const { domain } = hwpt;
  checkFaults(hwpt, idev.dev);
  const group = idev.dev.group!;
  const oldHandle = attachHandleGet(group, pasid);
  idev.ctx.kernel.step("replace.handle");
  const handle = new IommufdAttachHandle(idev);
  if (pasid === IOMMU_NO_PASID) replaceGroupHandle(group, domain, handle);
  else replaceDevicePasid(domain, idev.dev, pasid, handle);
  old.fault?.autoResponse(oldHandle);
}

/** Throws EINVAL for page faults of a virtual function (Linux: iommufd_hwpt_compatible_device). */
export function checkFaults(hwpt: HwPagetable, dev: Device): void {
  if (hwpt.fault === undefined || !dev.isVirtualFunction) return;
  const { refusesOnlyVfsWithPri } = hwpt.ctx.kernel.revision.attach;
  if (dev.hasPri || !refusesOnlyVfsWithPri) {
    throw EINVAL.because("page faults of a virtual function cannot be handled");
  }
}
