// SPDX-License-Identifier: GPL-2.0-only

/**
 * Groups: the devices that the IOMMU cannot tell from each other have one user,
 * who has either the file of the group, or files of the devices.
 *
 * Linux: struct vfio_group, drivers/vfio/group.c.
 *
 * @module
 */

import type { Group } from "../iommu/group.ts";
import type { IommufdCtx } from "../iommufd/main.ts";
import type { KernelCore } from "../kernel/core.ts";
import type { Task } from "../kernel/interfaces/task.ts";
import { EBUSY, ENODEV, EPERM } from "../uapi/errno.ts";
import { CAP_SYS_RAWIO } from "../uapi/mman.ts";
import type { PciFunction } from "../pci/function.ts";
import type { VfioDevice } from "./device.ts";

/** What translates for a group: a container that it was put into. */
export interface GroupContainer {
  /** The iommufd that its devices are bound to, if it is one. */
  readonly iommufd: IommufdCtx | undefined;
  /** A device of the group is opened first. Throws EINVAL before the container has a type. */
  useFor(group: VfioGroup): void;
  /** It is closed. */
  unuseFor(group: VfioGroup): void;
  /** The group leaves. Throws EBUSY if it may not. */
  leave(group: VfioGroup): void;
}

/** One group with devices of VFIO's. */
export class VfioGroup {
  /** The kernel. */
  readonly kernel: KernelCore;
  /** The group of the IOMMU core. */
  readonly iommuGroup: Group;
  /** Its devices. */
  readonly devices: VfioDevice[] = [];
  /** Its device is behind no IOMMU (Linux: VFIO_NO_IOMMU). */
  readonly isNoIommu: boolean;
  /** VFIO's device that a function is, in whatever group. */
  readonly deviceOf: (pci: PciFunction) => VfioDevice | undefined;
  /** What it was put into. */
  container: GroupContainer | undefined;
  #isOpen = false;
  #isGone = false;
  /** Devices that are bound through files of their own (Linux: cdev_device_open_cnt). */
  #blocks = 0;

  /** Nobody has it. */
  constructor(
    kernel: KernelCore,
    iommuGroup: Group,
    deviceOf: (pci: PciFunction) => VfioDevice | undefined,
    isNoIommu: boolean,
  ) {
    this.isNoIommu = isNoIommu;
    this.kernel = kernel;
    this.iommuGroup = iommuGroup;
    this.deviceOf = deviceOf;
  }

  /** Its file is opened. Throws EPERM without an IOMMU for who may not do everything, EBUSY for a second one, and while a device is bound through its own. */
  open(task: Task): void {
    this.checkPermission(task);
    if (this.#blocks > 0) {
      throw EBUSY.because(
        "a device of the group is bound through its own file",
      );
    }
    if (this.#isOpen) throw EBUSY.because("the group is open");
    this.#isOpen = true;
  }

  /** Throws EPERM without an IOMMU for who lacks CAP_SYS_RAWIO. */
  checkPermission(task: Task): void {
    if (this.isNoIommu && !task.capable(CAP_SYS_RAWIO)) {
      throw EPERM.because("the process lacks CAP_SYS_RAWIO");
    }
  }

  /** Its file is closed. */
  close(): void {
    this.container?.leave(this);
    this.container = undefined;
    this.#isOpen = false;
  }

  /** Its last device is gone: who has its file open can do nothing with it any more. A container of type1 lets it go at once. (Linux: vfio_device_remove_group.) */
  remove(): void {
    this.#isGone = true;
    if (this.container?.iommufd !== undefined) return;
    this.container?.leave(this);
    this.container = undefined;
  }

  /** Throws ENODEV for a group without devices. */
  checkThere(): void {
    if (this.#isGone) throw ENODEV.because("the devices of the group are gone");
  }

  /** A device is bound through its own file. Throws EBUSY while the group's is open. (Linux: vfio_device_block_group.) */
  block(): void {
    if (this.#isOpen) throw EBUSY.because("the group is open");
    this.#blocks++;
  }

  /** The opposite of {@link block}. */
  unblock(): void {
    this.#blocks--;
  }
}
