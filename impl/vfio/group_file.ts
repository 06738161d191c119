// SPDX-License-Identifier: GPL-2.0-only

/**
 * `/dev/vfio/N`: a group puts itself into a container, and opens its devices.
 *
 * Linux: vfio_group_fops of drivers/vfio/group.c.
 *
 * @module
 */

import { File } from "../kernel/files/file.ts";
import type { Task } from "../kernel/interfaces/task.ts";
import { IommufdCtx } from "../iommufd/main.ts";
import {
  vfioCompatIoasCreate,
  vfioCompatSetNoIommu,
} from "../iommufd/vfio_compat/compat_ioas.ts";
import { EBADF, EBADFD, EINVAL, ENODEV, ENOTTY, EPERM } from "../uapi/errno.ts";
import { O_RDWR, PAGE_SIZE, RLIMIT_NOFILE } from "../uapi/mman.ts";
import {
  VFIO_GROUP_FLAGS_CONTAINER_SET,
  VFIO_GROUP_FLAGS_VIABLE,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_GROUP_UNSET_CONTAINER,
  VfioGroupStatus,
} from "../uapi/vfio/device.ts";
import type { VfioDevice } from "./device.ts";
import { VfioDeviceFile } from "./device_file.ts";
import type { GroupContainer, VfioGroup } from "./group.ts";
import { load } from "./pci/structs.ts";
import { matchToken } from "./pci/vf_token.ts";
import { Type1Container } from "./type1/container.ts";

const NO_CONTAINER = EINVAL.because("the group is in no container");

/** A token behind the name of a device. */
const TOKEN_OPTION = /^vf_token=([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})$/i;

/** An open group. */
export class GroupFile extends File {
  /** The group. */
  readonly group: VfioGroup;

  /** Opens it. Throws EPERM, EBUSY. */
  constructor(group: VfioGroup, task: Task, access: number) {
    super(access);
    group.open(task);
    this.group = group;
  }

  /** As a device that is opened by its path; it has neither read nor write. */
  override get hasOffsets(): boolean {
    return true;
  }

  /** Linux: vfio_group_fops_unl_ioctl. */
  override ioctl(task: Task, cmd: number, arg: number | bigint): number {
    const uaddr = Number(arg);
    switch (cmd) {
      case VFIO_GROUP_GET_STATUS:
        this.#getStatus(task, uaddr);
        return 0;
      case VFIO_GROUP_SET_CONTAINER:
        this.#setContainer(task, uaddr);
        return 0;
      case VFIO_GROUP_UNSET_CONTAINER:
        this.#unsetContainer();
        return 0;
      case VFIO_GROUP_GET_DEVICE_FD:
        return this.#getDeviceFd(task, uaddr);
      default:
        throw ENOTTY.because("the group does not have the ioctl");
    }
  }

  /** Takes it out of its container, and closes it. */
  protected override release(): void {
    this.group.close();
  }

  #getStatus(task: Task, uaddr: number): void {
    const { bytes, cmd } = load(task, uaddr, VfioGroupStatus);
    this.group.checkThere();
    const { container, iommuGroup } = this.group;
    cmd.flags = container !== undefined
      ? VFIO_GROUP_FLAGS_CONTAINER_SET | VFIO_GROUP_FLAGS_VIABLE
      : iommuGroup.ownerCnt === 0
      ? VFIO_GROUP_FLAGS_VIABLE
      : 0;
    task.mm.copyToUser(uaddr, bytes);
  }

  #setContainer(task: Task, uaddr: number): void {
    const bytes = new Uint8Array(4);
    task.mm.getUser(bytes, uaddr);
    const fd = new DataView(bytes.buffer).getInt32(0, true);
    const file = task.files.get(fd);
    if (file === undefined) throw EBADF;
    const { group } = this;
    if (group.container !== undefined) {
      throw EINVAL.because("the group is in a container");
    }
    group.checkThere();
    if (file instanceof Type1Container) {
      group.container = file.attachGroup(group, task);
    } else if (file instanceof IommufdCtx) {
      if (group.isNoIommu) vfioCompatSetNoIommu(file);
      else vfioCompatIoasCreate(file);
      group.container = new IommufdContainer(file.get());
    } else throw EBADFD.because("the file is no container");
  }

  #unsetContainer(): void {
    const { group } = this;
    if (group.container === undefined) throw NO_CONTAINER;
    group.container.leave(group);
    group.container = undefined;
  }

  /** Opens a device by its name (Linux: vfio_group_ioctl_get_device_fd). */
  #getDeviceFd(task: Task, uaddr: number): number {
    const device = this.#find(readName(task, uaddr));
    const limit = task.rlimit(RLIMIT_NOFILE);
    task.files.checkFree(limit);
    const file = this.#openDevice(device, task);
    try {
      return task.files.install(file, limit, true);
    } catch (error) {
      file.put();
      throw error;
    }
  }

  /** Linux: vfio_device_get_from_name, vfio_pci_core_match. */
  #find(name: string): VfioDevice {
    for (const device of this.group.devices) {
      const own = device.pci.name;
      if (!name.startsWith(own)) continue;
      const rest = name.slice(own.length);
      if (rest !== "" && !rest.startsWith(" ")) continue;
      matchToken(device.core, tokenOf(rest));
      return device;
    }
    throw ENODEV.because("the group has no device of the name");
  }

  /** Linux: vfio_device_open_file, vfio_df_group_open. */
  #openDevice(device: VfioDevice, task: Task): VfioDeviceFile {
    const { container, kernel, isNoIommu } = this.group;
    if (container === undefined) throw NO_CONTAINER;
    const { iommufd } = container;
    if (isNoIommu && iommufd !== undefined && !device.core.isOpen) {
      this.group.checkPermission(task);
      if (iommufd.vfioIoas !== undefined) {
        throw EPERM.because("the container is used with an IOMMU");
      }
    }
    using undo = new DisposableStack();
    // Of type1 a device holds its group, which cannot be opened again.
    if (iommufd === undefined) {
      this.get();
      undo.defer(() => this.put());
    }
    container.useFor(this.group);
    undo.defer(() => container.unuseFor(this.group));
    device.openInGroup(isNoIommu ? undefined : iommufd);
    undo.defer(() => device.close());
    const binding = undo.move();
    const release = () => binding.dispose();
    return new VfioDeviceFile(kernel, device, O_RDWR, { release });
  }
}

/** An iommufd in the place of a container: its devices are bound to it when they are opened, and hold it themselves. */
class IommufdContainer implements GroupContainer {
  readonly iommufd: IommufdCtx;

  /** Takes over the reference. */
  constructor(iommufd: IommufdCtx) {
    this.iommufd = iommufd;
  }

  useFor(): void {
    this.iommufd.get();
  }

  unuseFor(): void {
    this.iommufd.put();
  }

  leave(): void {
    this.iommufd.put();
  }
}

/** The name that a caller gives. Throws EFAULT, EINVAL for one that does not end. (Linux: strndup_user.) */
function readName(task: Task, uaddr: number): string {
  const byte = new Uint8Array(1);
  let name = "";
  while (name.length < PAGE_SIZE) {
    task.mm.getUser(byte, uaddr + name.length);
    if (byte[0] === 0) return name;
    name += String.fromCharCode(byte[0]!);
  }
  throw EINVAL.because("the name is too long");
}

/** The token among the options behind a name. Throws EINVAL for another option, and for a second one. */
function tokenOf(options: string): Uint8Array | undefined {
  const words = options.split(" ").filter((word) => word !== "");
  if (words.length === 0) return undefined;
  const uuid = TOKEN_OPTION.exec(words[0]!)?.[1];
  if (uuid === undefined || words.length > 1) {
    throw EINVAL.because("an option behind the name is unknown");
  }
  return bytesOfUuid(uuid);
}

/** A token that is written as text, in the order of the digits (Linux: uuid_parse). */
function bytesOfUuid(text: string): Uint8Array {
  const digits = text.replaceAll("-", "").match(/../g)!;
  return Uint8Array.from(digits, (pair) => parseInt(pair, 16));
}
