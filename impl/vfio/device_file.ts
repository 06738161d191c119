// SPDX-License-Identifier: GPL-2.0-only

/**
 * An open device: the file behind `/dev/vfio/devices/vfioN`.
 *
 * Linux: struct vfio_device_file, vfio_device_fops of
 * drivers/vfio/vfio_main.c.
 *
 * @module
 */

import {
  File,
  type FileMapping,
  type MapRequest,
} from "../kernel/files/file.ts";
import type { KernelCore } from "../kernel/core.ts";
import type { Task } from "../kernel/interfaces/task.ts";
import { EINVAL, ENOTTY } from "../uapi/errno.ts";
import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS,
} from "../uapi/vfio/device.ts";
import {
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
  VFIO_DEVICE_IOEVENTFD,
  VFIO_DEVICE_PCI_HOT_RESET,
} from "../uapi/vfio/feature.ts";
import { attachPt, type Binding, bindIommufd, detachPt } from "./cdev.ts";
import type { VfioDevice } from "./device.ts";
import type { VfioGroup } from "./group.ts";
import { getInfo, getIrqInfo, getRegionInfo, setIrqs } from "./pci/info.ts";
import { feature } from "./pci/features.ts";
import { getHotResetInfo, hotReset } from "./pci/hot_reset.ts";
import { ioeventfd } from "./pci/ioeventfd.ts";
import { accessRegion, mapRegion } from "./pci/regions.ts";

const UNBOUND = EINVAL.because("the descriptor is not bound to an iommufd");

/** One open file of a device. */
export class VfioDeviceFile extends File {
  /** The device. */
  readonly vfioDevice: VfioDevice;
  /** It was opened by a group. */
  readonly isOfGroup: boolean;
  readonly #kernel: KernelCore;
  /** What it is bound to, from the moment on that it may be used. */
  #binding: Binding | undefined;
  #position = 0;

  /** Not bound yet; or, of a group, bound already. */
  constructor(
    kernel: KernelCore,
    device: VfioDevice,
    access: number,
    ofGroup?: Binding,
  ) {
    super(access);
    this.isOfGroup = ofGroup !== undefined;
    this.#binding = ofGroup;
    this.#kernel = kernel;
    this.vfioDevice = device;
    device.files++;
  }

  /** Linux: vfio_device_fops_unl_ioctl. */
  override ioctl(task: Task, cmd: number, arg: number | bigint): number {
    const uaddr = Number(arg);
    if (cmd === VFIO_DEVICE_BIND_IOMMUFD) {
      this.#binding = bindIommufd(this.#kernel, this, task, uaddr);
      return 0;
    }
    this.#checkBound();
    const { vfioDevice: device } = this;
    device.core.wake();
    if (!this.isOfGroup) {
      switch (cmd) {
        case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
          attachPt(this.#kernel, device, task, uaddr);
          return 0;
        case VFIO_DEVICE_DETACH_IOMMUFD_PT:
          detachPt(this.#kernel, device, task, uaddr);
          return 0;
      }
    }
    switch (cmd) {
      case VFIO_DEVICE_GET_INFO:
        getInfo(device.core, task, uaddr);
        return 0;
      case VFIO_DEVICE_GET_REGION_INFO:
        getRegionInfo(device.core, task, uaddr);
        return 0;
      case VFIO_DEVICE_GET_IRQ_INFO:
        getIrqInfo(device.core, task, uaddr);
        return 0;
      case VFIO_DEVICE_SET_IRQS:
        return setIrqs(device.core, task, uaddr);
      case VFIO_DEVICE_RESET:
        device.core.resetByUser();
        return 0;
      case VFIO_DEVICE_FEATURE:
        return feature(device.core, task, uaddr);
      case VFIO_DEVICE_IOEVENTFD:
        ioeventfd(device.core, task, uaddr);
        return 0;
      case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
        getHotResetInfo(device, this.isOfGroup, task, uaddr);
        return 0;
      case VFIO_DEVICE_PCI_HOT_RESET: {
        const groupOf = (fd: number) => groupOfFile(task.files.lookup(fd));
        hotReset(device, this.isOfGroup, groupOf, task, uaddr);
        return 0;
      }
      default:
        throw ENOTTY.because("the device does not have the ioctl");
    }
  }

  /** Whether it is bound. */
  get isBound(): boolean {
    return this.#binding !== undefined;
  }

  /** It has a position, which cannot be moved, and can be read elsewhere. */
  override get hasOffsets(): boolean {
    return true;
  }

  /** The name of its kind. */
  override get label(): string {
    return "anon_inode:[vfio-device]";
  }

  /** Which device it is (Linux: vfio_device_show_fdinfo). */
  override get fdinfo(): string {
    if (!this.#kernel.revision.vfio.hasFdinfo) return "";
    return `vfio-device-syspath: /sys/devices/${this.vfioDevice.pci.path}\n`;
  }

  /** Reads from a region. Throws EINVAL, EFAULT, EIO. */
  override read(
    task: Task,
    uaddr: number,
    count: number,
    offset?: number,
  ): number {
    return this.#access(task, uaddr, count, offset, false);
  }

  /** Writes to a region. Throws EINVAL, EFAULT, EIO. */
  override write(
    task: Task,
    uaddr: number,
    count: number,
    offset?: number,
  ): number {
    return this.#access(task, uaddr, count, offset, true);
  }

  /** Maps a BAR. Throws EINVAL. A mapping holds the file. */
  override mmap(request: MapRequest): FileMapping {
    this.#checkBound();
    return mapRegion(this.vfioDevice.core, request, this);
  }

  /** Closes the device, if it is bound. */
  protected override release(): void {
    this.#binding?.release();
    this.vfioDevice.files--;
  }

  #access(
    task: Task,
    uaddr: number,
    count: number,
    offset: number | undefined,
    writes: boolean,
  ): number {
    this.#checkBound();
    this.vfioDevice.core.wake();
    const transfer = { task, uaddr, count, writes };
    const at = offset ?? this.#position;
    const done = accessRegion(this.vfioDevice.core, at, transfer);
    if (offset === undefined) this.#position += done;
    return done;
  }

  #checkBound(): void {
    if (!this.isBound) throw UNBOUND;
  }
}

/** The group of an open one. Throws EINVAL for another file. */
function groupOfFile(file: File): VfioGroup {
  if (!("group" in file)) throw EINVAL.because("the file is no group");
  return file.group as VfioGroup;
}
