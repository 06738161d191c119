// SPDX-License-Identifier: GPL-2.0-only

/**
 * `/dev/iommu`: contexts, and how an ioctl finds its function.
 *
 * Linux: drivers/iommu/iommufd/main.c.
 *
 * @module
 */

import type { Group } from "../iommu/group.ts";
import {
  File,
  type FileMapping,
  type MapRequest,
} from "../kernel/files/file.ts";
import type { Task } from "../kernel/interfaces/task.ts";
import type { IommufdKernel } from "./kernel.ts";
import { EBADF, EBADFD, ENOTTY } from "../uapi/errno.ts";
import { IOMMU_TEST_CMD, IOMMUFD_CMD_BASE } from "../uapi/mod.ts";
import type { Revision } from "../uapi/revision.ts";
import { existsIn } from "../uapi/revision/versions.ts";
import {
  ACCOUNT_MM,
  ACCOUNT_USER,
  type AccountMode,
} from "./pages/accounting.ts";
import type { AttachStrategy } from "./attach/attachments.ts";
import type { IommufdGroup } from "./attach/group.ts";
import { AttachPerGroup } from "./attach/group_attachments.ts";
import { AttachPerHwpt } from "./attach/hwpt_attachments.ts";
import { type SwMsi, swMsiOf } from "./attach/sw_msi.ts";
import type { Ioas } from "./ioas/ioas.ts";
import { IOCTL_OPS } from "./ioctl_table.ts";
import { ObjectTable } from "./objects/object.ts";
import type { CommandBuffer, IoctlOp } from "./objects/ucmd.ts";
import { MmapRegions } from "./viommu/mmap.ts";
import { vfioIoctl } from "./vfio_compat/vfio_compat.ts";

const UNKNOWN_IOCTL = ENOTTY.because("this revision does not have the ioctl");

/** Places of the ioctl table: the test ioctl is the last one. */
const TABLE_SIZE = (IOMMU_TEST_CMD & 0xff) - IOMMUFD_CMD_BASE + 1;

/** The place of an ioctl in the table; outside of it the VFIO container answers. */
function placeOf(cmd: number): number {
  return (cmd & 0xff) - IOMMUFD_CMD_BASE;
}

/** One revision's ioctls at their places (Linux: iommufd_ioctl_ops). */
export function ioctlTable(
  ops: readonly IoctlOp[],
  revision: Revision,
): (IoctlOp | undefined)[] {
  const table = new Array<IoctlOp | undefined>(TABLE_SIZE).fill(undefined);
  for (const op of ops) {
    const { ioctl } = op.struct;
    if (existsIn(revision.name, ioctl)) table[placeOf(ioctl.number)] = op;
  }
  return table;
}

/** One place of a context's ioctl table. */
interface Slot {
  readonly op: IoctlOp;
  readonly number: number;
  readonly minSize: number;
  /** A buffer for each depth of system calls: an ioctl may call itself through a driver. */
  readonly buffers: CommandBuffer[];
}

/** The contexts of one kernel, and what they share. */
export class Iommufd {
  /** The kernel. */
  readonly kernel: IommufdKernel;
  /** The ioctls that the kernel's revision has. */
  readonly table: readonly (IoctlOp | undefined)[];
  /** How devices attach. */
  readonly attaching: AttachStrategy;
  /** Contexts that were not released. */
  readonly contexts: Set<IommufdCtx> = new Set();

  /** Registers `/dev/iommu`, and `/dev/vfio/vfio` where the revision has it (Linux: iommufd_init). */
  constructor(kernel: IommufdKernel) {
    this.kernel = kernel;
    const ops = [...IOCTL_OPS, ...kernel.options.ioctls];
    this.table = ioctlTable(ops, kernel.revision);
    this.attaching = kernel.revision.attach.keptWith === "group"
      ? new AttachPerGroup(kernel)
      : new AttachPerHwpt();
    this.#register("/dev/iommu", ACCOUNT_USER);
    if (kernel.revision.vfio.hasDevice) {
      this.#register("/dev/vfio/vfio", ACCOUNT_MM);
    }
  }

  /** Makes a path that opens a new context, which charges pinned memory as told. That throws ENOMEM. (Linux: iommufd_fops_open.) */
  #register(path: string, accountMode: AccountMode): void {
    this.kernel.registerDevice(path, (_task, access) => {
      this.kernel.step("iommufd.open");
      return new IommufdCtx(this, accountMode, access);
    });
  }
}

/**
 * One open `/dev/iommu`: a set of objects (Linux: struct iommufd_ctx with its
 * struct file). Drivers hold a reference while they use it: `get` and `put`
 * are iommufd_ctx_get and iommufd_ctx_put.
 */
export class IommufdCtx extends File {
  /** The kernel. */
  readonly kernel: IommufdKernel;
  /** Its objects by id. */
  readonly objects: ObjectTable;
  /** How devices attach. */
  readonly attaching: AttachStrategy;
  /** Interrupts of devices that software maps. */
  readonly swMsi: SwMsi;
  /** What it knows about the IOMMU groups of its devices (Linux: iommufd_ctx.groups). */
  readonly groups: Map<Group, IommufdGroup> = new Map();
  /** How memory pinned through it is charged. */
  accountMode: AccountMode;
  /** The IOAS that the VFIO container ioctls act on. No user of it. */
  vfioIoas: Ioas | undefined;
  /** What can be mapped through the descriptor. */
  readonly mmapRegions: MmapRegions;
  /** True if a no-IOMMU device uses it as a VFIO container. */
  noIommuMode = false;

  readonly #module: Iommufd;
  readonly #slots: (Slot | undefined)[] = new Array(TABLE_SIZE);
  readonly #sizeBytes = new Uint8Array(4);
  readonly #sizeView = new DataView(this.#sizeBytes.buffer);

  /** For {@link Iommufd}, whose paths open it. */
  constructor(module: Iommufd, accountMode: AccountMode, access: number) {
    super(access);
    this.#module = module;
    this.kernel = module.kernel;
    this.attaching = module.attaching;
    this.swMsi = swMsiOf(module.kernel);
    this.accountMode = accountMode;
    this.objects = new ObjectTable(this);
    this.mmapRegions = new MmapRegions(this.kernel);
    module.contexts.add(this);
  }

  /**
   * An ioctl. The order of checks is Linux's: VFIO's numbers first, then the
   * size is read (EFAULT), the command must be known (ENOTTY), the size must
   * not be too small, and the struct is copied (E2BIG, EFAULT).
   * (Linux: iommufd_fops_ioctl.)
   */
  override ioctl(process: Task, cmd: number, arg: number | bigint): number {
    const place = placeOf(cmd);
    if (place < 0 || place >= TABLE_SIZE) {
      return vfioIoctl(this, process, cmd, Number(arg));
    }
    const uaddr = Number(arg);
    process.mm.getUser(this.#sizeBytes, uaddr);
    const userSize = this.#sizeView.getUint32(0, true);

    const slot = this.#slots[place] ?? this.#prepare(place);
    if (slot === undefined || slot.number !== cmd) throw UNKNOWN_IOCTL;
    if (userSize < slot.minSize) {
      const { shortStructErrno } = this.kernel.revision.objects;
      throw shortStructErrno.because("the struct is too short");
    }

    const buffer = slot.buffers[this.kernel.callDepth] ??= slot.op.prepare(
      this,
    );
    // Here already: this took a call that fails at once from 1.5 to 0.5 µs.
    try {
      buffer.load(process, uaddr, userSize);
      buffer.execute();
      if (buffer.newObject !== undefined) buffer.settleNewObject(true);
      return buffer.result;
    } catch (error) {
      if (buffer.newObject !== undefined) buffer.settleNewObject(false);
      return this.kernel.resultOfError(error);
    }
  }

  /** Memory that a driver offers, where the revision has that. Throws ENODEV else, EINVAL, EPERM, ENXIO. (Linux: iommufd_fops_mmap.) */
  override mmap(request: MapRequest): FileMapping {
    if (!this.kernel.revision.objects.hasMmap) return super.mmap(request);
    return this.mmapRegions.map(request);
  }

  /** As a device that is opened by its path; it has neither read nor write. */
  override get hasOffsets(): boolean {
    return true;
  }

  #prepare(place: number): Slot | undefined {
    const op = this.#module.table[place];
    if (op === undefined) return undefined;
    const { number } = op.struct.ioctl;
    const minSize = op.struct.minSizeIn(this.kernel.revision.name);
    return this.#slots[place] = { op, number, minSize, buffers: [] };
  }

  /** Destroys all objects (Linux: iommufd_fops_release). */
  protected override release(): void {
    this.objects.releaseAll();
    this.kernel.warnings.on(
      this.groups.size !== 0,
      "iommufd: a context is released with groups left",
    );
    this.#module.contexts.delete(this);
  }
}

/**
 * The context behind a file, with a reference that the caller must put.
 * Throws EBADFD if the file is no iommufd. (Linux: iommufd_ctx_from_file.)
 */
export function iommufdCtxFromFile(file: File): IommufdCtx {
  if (!(file instanceof IommufdCtx)) throw EBADFD;
  return file.get();
}

/**
 * The context behind a process's descriptor, with a reference that the caller
 * must put. Throws EBADF if the descriptor is not open, EBADFD if it is no
 * iommufd. (Linux: iommufd_ctx_from_fd.)
 */
export function iommufdCtxFromFd(process: Task, fd: number): IommufdCtx {
  const file = process.files.get(fd);
  if (file === undefined) throw EBADF;
  return iommufdCtxFromFile(file);
}
