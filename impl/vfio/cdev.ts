// SPDX-License-Identifier: GPL-2.0-only

/**
 * What only a device that is opened by its own path has: it is bound to an
 * iommufd, and attached to what that has.
 *
 * Linux: drivers/vfio/device_cdev.c.
 *
 * @module
 */

import { iommufdCtxFromFd } from "../iommufd/main.ts";
import type { KernelCore } from "../kernel/core.ts";
import type { Task } from "../kernel/interfaces/task.ts";
import { E2BIG, EINVAL } from "../uapi/errno.ts";
import {
  VFIO_DEVICE_ATTACH_PASID,
  VFIO_DEVICE_BIND_FLAG_TOKEN,
  VfioDeviceAttachIommufdPt,
  VfioDeviceBindIommufd,
  VfioDeviceDetachIommufdPt,
} from "../uapi/vfio/device.ts";
import type { VfioDevice } from "./device.ts";
import { checkFlags, checkSize, load } from "./pci/structs.ts";
import { matchToken, TOKEN_SIZE } from "./pci/vf_token.ts";

/** A bound file's hold on its device. */
export interface Binding {
  /** Closes the device. */
  release(): void;
}

/** BIND_IOMMUFD. Throws EFAULT, E2BIG, EINVAL, EBADF, EBADFD, and what binding throws. */
export function bindIommufd(
  kernel: KernelCore,
  file: {
    readonly vfioDevice: VfioDevice;
    readonly isBound: boolean;
    readonly isOfGroup: boolean;
  },
  task: Task,
  uaddr: number,
): Binding {
  const { bytes, cmd } = loadBind(kernel, task, uaddr);
  const known = kernel.revision.vfio.bindHasToken
    ? VFIO_DEVICE_BIND_FLAG_TOKEN
    : 0;
  if (cmd.iommufd < 0) throw EINVAL.because("the descriptor cannot be one");
  checkFlags(cmd.flags, known);
  const { vfioDevice: device } = file;
  if (file.isOfGroup) throw EINVAL.because("the descriptor is of a group");
  using undo = new DisposableStack();
  device.group.block();
  undo.defer(() => device.group.unblock());
  if (file.isBound) throw EINVAL.because("the descriptor is bound already");
  if (kernel.revision.vfio.bindHasToken) {
    matchToken(device.core, loadToken(task, cmd));
  }
  const ctx = iommufdCtxFromFd(task, cmd.iommufd);
  undo.defer(() => ctx.put());
  cmd.outDevid = device.openAlone(ctx);
  undo.defer(() => device.close());
  const { offset } = VfioDeviceBindIommufd.fields.outDevid;
  task.mm.copyToUser(uaddr + offset, bytes.subarray(offset, offset + 4));
  const binding = undo.move();
  return { release: () => binding.dispose() };
}

/** The token that a caller has, if it has one (Linux: vfio_df_check_token). */
function loadToken(
  task: Task,
  cmd: VfioDeviceBindIommufd,
): Uint8Array | undefined {
  if ((cmd.flags & VFIO_DEVICE_BIND_FLAG_TOKEN) === 0) return undefined;
  const uuid = new Uint8Array(TOKEN_SIZE);
  task.mm.copyFromUser(uuid, Number(cmd.tokenUuidPtr));
  return uuid;
}

/** The struct grew, and the kernel takes a longer one if what it does not know is zero (Linux: copy_struct_from_user). */
function loadBind(kernel: KernelCore, task: Task, uaddr: number) {
  const layout = VfioDeviceBindIommufd;
  const least = layout.minSizeIn(kernel.revision.name);
  if (!kernel.revision.vfio.bindHasToken) {
    return load(task, uaddr, layout, least);
  }
  const bytes = new Uint8Array(layout.size);
  task.mm.getUser(bytes.subarray(0, 4), uaddr);
  const cmd = layout.at(bytes);
  const { argsz } = cmd;
  checkSize(argsz, least);
  if (argsz > bytes.length) {
    const isZero = task.mm.isZeroed(uaddr + bytes.length, argsz - bytes.length);
    if (!isZero) {
      throw E2BIG.because("the struct is longer than known, and not zero");
    }
  }
  task.mm.copyFromUser(bytes.subarray(0, argsz), uaddr);
  return { bytes, cmd };
}

/** ATTACH_IOMMUFD_PT. Throws EFAULT, EINVAL, and what attaching throws. */
export function attachPt(
  kernel: KernelCore,
  device: VfioDevice,
  task: Task,
  uaddr: number,
): void {
  const layout = VfioDeviceAttachIommufdPt;
  const { bytes, cmd } = loadWithPasid(kernel, task, uaddr, layout);
  cmd.ptId = cmd.flags & VFIO_DEVICE_ATTACH_PASID
    ? device.attachPasid(cmd.pasid, cmd.ptId)
    : device.attach(cmd.ptId);
  const { offset } = layout.fields.ptId;
  try {
    task.mm.copyToUser(uaddr + offset, bytes.subarray(offset, offset + 4));
  } catch (error) {
    device.detach();
    throw error;
  }
}

/** DETACH_IOMMUFD_PT. What is not attached stays so. Throws EFAULT, EINVAL. */
export function detachPt(
  kernel: KernelCore,
  device: VfioDevice,
  task: Task,
  uaddr: number,
): void {
  const layout = VfioDeviceDetachIommufdPt;
  const { cmd } = loadWithPasid(kernel, task, uaddr, layout);
  if (cmd.flags & VFIO_DEVICE_ATTACH_PASID) device.detachPasid(cmd.pasid);
  else device.detach();
}

/** The struct of either: with the flag it has a PASID, where the revision has that. */
function loadWithPasid<
  T extends { argsz: number; flags: number; pasid: number },
>(
  kernel: KernelCore,
  task: Task,
  uaddr: number,
  layout: {
    readonly fields: { readonly pasid: { readonly offset: number } };
    readonly size: number;
  } & Parameters<typeof load<T>>[2],
): { bytes: Uint8Array; cmd: T } {
  const least = layout.fields.pasid.offset;
  const { bytes, cmd } = load(task, uaddr, layout, least);
  checkFlags(
    cmd.flags,
    kernel.revision.attach.hasPasids ? VFIO_DEVICE_ATTACH_PASID : 0,
  );
  if (cmd.flags & VFIO_DEVICE_ATTACH_PASID) {
    checkSize(cmd.argsz, layout.size);
    task.mm.copyFromUser(bytes.subarray(least), uaddr + least);
  }
  return { bytes, cmd };
}
