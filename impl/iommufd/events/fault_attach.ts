// SPDX-License-Identifier: GPL-2.0-only

/**
 * Attaching a group to a HWPT, and answering the page faults that came through
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
  attachGroupHandle,
  attachHandleGet,
  detachGroupHandle,
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

/** Attaches a device's group. Throws ENOMEM, EINVAL, and what the drivers throw. (Linux: iommufd_hwpt_attach_device.) */
export function hwptAttachDevice(
  hwpt: HwPagetable,
  idev: IommufdDevice,
): void {
  checkFaults(hwpt, idev.dev);
  idev.ctx.kernel.step("attach.handle");
  const handle = new IommufdAttachHandle(idev);
  attachGroupHandle(hwpt.domain, idev.igroup.group, handle);
}

/** Detaches a device's group; faults that came through are answered (Linux: iommufd_hwpt_detach_device). */
export function hwptDetachDevice(
  hwpt: HwPagetable,
  idev: IommufdDevice,
): void {
  const { group } = idev.igroup;
  const handle = attachHandleGet(group, IOMMU_NO_PASID);
  detachGroupHandle(hwpt.domain, group);
  hwpt.fault?.autoResponse(handle);
}

/**
 * Attaches a device's group to `hwpt` in place of `old`, whose faults are
 * answered. If it throws nothing has changed. Throws as
 * {@link hwptAttachDevice}. (Linux: iommufd_hwpt_replace_device.)
 */
export function hwptReplaceDevice(
  idev: IommufdDevice,
  hwpt: HwPagetable,
  old: HwPagetable,
): void {
  checkFaults(hwpt, idev.dev);
  const { group } = idev.igroup;
  const oldHandle = attachHandleGet(group, IOMMU_NO_PASID);
  idev.ctx.kernel.step("replace.handle");
  replaceGroupHandle(group, hwpt.domain, new IommufdAttachHandle(idev));
  old.fault?.autoResponse(oldHandle);
}

/** Throws EINVAL for page faults of a virtual function (Linux: iommufd_hwpt_compatible_device). */
function checkFaults(hwpt: HwPagetable, dev: Device): void {
  if (hwpt.fault === undefined || !dev.isVirtualFunction) return;
  const { refusesOnlyVfsWithPri } = hwpt.ctx.kernel.revision.attach;
  if (dev.hasPri || !refusesOnlyVfsWithPri) {
    throw EINVAL.because("page faults of a virtual function cannot be handled");
  }
}
