// SPDX-License-Identifier: GPL-2.0-only

/**
 * Attaching a group to a HWPT, with page faults if the HWPT has a fault queue.
 *
 * A group is attached once, for the first of its devices, and detached with
 * the last. As in Linux, faults are switched on for the former and off for the
 * latter: a group whose devices fault must be detached in reverse order.
 *
 * Linux: iommufd_hwpt_attach_device and its neighbours in device.c,
 * iommufd_fault_iopf_enable and _disable of fault.c.
 *
 * @module
 */

import {
  attachGroupHandle,
  attachHandleGet,
  detachGroupHandle,
  replaceGroupHandle,
} from "../../iommu/attach.ts";
import {
  deviceDisableFeature,
  deviceEnableFeature,
} from "../../iommu/device.ts";
import { AttachHandle, IOMMU_NO_PASID } from "../../iommu/group.ts";
import { EINVAL, Errno } from "../../uapi/errno.ts";
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
  idev.ctx.kernel.step("attach.handle");
  const handle = new IommufdAttachHandle(idev);
  using undo = new DisposableStack();
  if (hwpt.fault !== undefined) {
    iopfEnable(idev);
    undo.defer(() => iopfDisable(idev));
  }
  attachGroupHandle(hwpt.domain, idev.igroup.group, handle);
  undo.move();
}

/** Detaches a device's group; faults that came through are answered (Linux: iommufd_hwpt_detach_device). */
export function hwptDetachDevice(
  hwpt: HwPagetable,
  idev: IommufdDevice,
): void {
  const { group } = idev.igroup;
  const handle = attachHandleGet(group, IOMMU_NO_PASID);
  detachGroupHandle(hwpt.domain, group);
  if (hwpt.fault === undefined) return;
  hwpt.fault.autoResponse(handle);
  iopfDisable(idev);
}

/**
 * Attaches a device's group to `hwpt` in place of `old`, whose faults are
 * answered. Faults are switched on or off only if one of the two handles them
 * and the other does not. If it throws nothing has changed. Throws as
 * {@link hwptAttachDevice}. (Linux: iommufd_hwpt_replace_device.)
 */
export function hwptReplaceDevice(
  idev: IommufdDevice,
  hwpt: HwPagetable,
  old: HwPagetable,
): void {
  const { group } = idev.igroup;
  const oldHandle = attachHandleGet(group, IOMMU_NO_PASID);
  idev.ctx.kernel.step("replace.handle");
  const handle = new IommufdAttachHandle(idev);
  using undo = new DisposableStack();
  if (hwpt.fault !== undefined && old.fault === undefined) {
    iopfEnable(idev);
    undo.defer(() => iopfDisable(idev));
  }
  replaceGroupHandle(group, hwpt.domain, handle);
  undo.move();

  if (old.fault === undefined) return;
  old.fault.autoResponse(oldHandle);
  if (hwpt.fault === undefined) iopfDisable(idev);
}

/**
 * Has the IOMMU report the device's faults; counted. Throws EINVAL for a
 * virtual function, ENODEV without an IOMMU that can, and what its driver
 * throws. (Linux: iommufd_fault_iopf_enable.)
 */
function iopfEnable(idev: IommufdDevice): void {
  if (idev.dev.isVirtualFunction) {
    throw EINVAL.because("page faults of a virtual function cannot be handled");
  }
  if (idev.iopfEnabled === 0) deviceEnableFeature(idev.dev, "iopf");
  idev.iopfEnabled++;
}

/** Undoes {@link iopfEnable} (Linux: iommufd_fault_iopf_disable). */
function iopfDisable(idev: IommufdDevice): void {
  const broken = idev.ctx.kernel.warnings.on(
    idev.iopfEnabled === 0,
    `iommufd: page faults of ${idev.dev.name} are off already`,
  );
  if (broken || --idev.iopfEnabled > 0) return;
  try {
    deviceDisableFeature(idev.dev, "iopf");
  } catch (error) {
    // Nothing can be done about a driver that refuses.
    if (!(error instanceof Errno)) throw error;
  }
}
