// SPDX-License-Identifier: GPL-2.0-only

/**
 * One ioctl of the table while it runs: the struct that came in, and the way
 * the answer goes back.
 *
 * Linux: `struct iommufd_ucmd`, `IOCTL_OP` and copy_struct_from_user.
 *
 * @module
 */

import type { Process } from "../../kernel/simulated/process.ts";
import { E2BIG } from "../../uapi/errno.ts";
import type { Revision } from "../../uapi/revision.ts";
import {
  type Lifetime,
  type Version,
  VERSIONS,
} from "../../uapi/revision/versions.ts";
import type { Struct } from "../../uapi/struct.ts";
import type { IommufdCtx } from "../main.ts";

/** An ioctl of the table, as far as it does not depend on its struct's fields. */
export interface IoctlOp extends Lifetime {
  /** The whole command, such as `IOMMU_IOAS_MAP`. */
  readonly number: number;
  /** Bytes that a caller must provide at least. */
  minSize(revision: Revision): number;
  /** Makes what a context needs to run the ioctl. */
  prepare(ctx: IommufdCtx): CommandBuffer;
}

/** Declares an ioctl: `last` is the last field that a caller must provide (Linux: IOCTL_OP). */
export function ioctlOp<T extends object>(
  number: number,
  struct: Struct<T>,
  last: keyof T & string,
  execute: (ucmd: Ucmd<T>) => void,
  since: Version = VERSIONS[0],
): IoctlOp {
  return {
    number,
    minSize: () => struct.offsetofend(last),
    since,
    prepare: (ctx) =>
      new Ucmd(ctx, new Uint8Array(struct.size), struct.at, execute),
  };
}

/**
 * The kernel's copy of an ioctl's struct. A context makes one per ioctl and
 * uses it again for every call, so that a call allocates nothing.
 */
export abstract class CommandBuffer {
  /** The context that was called. */
  readonly ctx: IommufdCtx;
  /** The struct: all the bytes that the kernel knows. */
  readonly bytes: Uint8Array;
  /** Bytes that the caller provides. */
  userSize = 0;
  /** Where the caller's struct is. */
  uaddr = 0;
  #process: Process | undefined;

  /** A buffer over `bytes`, as many as the kernel's struct has. */
  constructor(ctx: IommufdCtx, bytes: Uint8Array) {
    this.ctx = ctx;
    this.bytes = bytes;
  }

  /** The process that calls. */
  get process(): Process {
    return this.#process!;
  }

  /**
   * Copies the caller's struct in; what it does not provide reads as zero.
   * Throws E2BIG if a byte that the kernel does not know is not zero, EFAULT
   * if the struct cannot be read. (Linux: copy_struct_from_user.)
   */
  load(process: Process, uaddr: number, userSize: number): void {
    this.#process = process;
    this.uaddr = uaddr;
    this.userSize = userSize;
    const { bytes } = this;
    if (userSize < bytes.length) {
      process.mm.copyFromUser(bytes.subarray(0, userSize), uaddr);
      bytes.fill(0, userSize);
      return;
    }
    if (userSize > bytes.length) {
      const tail = uaddr + bytes.length;
      if (!process.mm.isZeroed(tail, userSize - bytes.length)) throw E2BIG;
    }
    process.mm.copyFromUser(bytes, uaddr);
  }

  /** Copies the struct back, as much of it as the caller provides. Throws EFAULT. (Linux: iommufd_ucmd_respond.) */
  respond(): void {
    const { bytes, userSize } = this;
    this.process.mm.copyToUser(
      this.uaddr,
      userSize < bytes.length ? bytes.subarray(0, userSize) : bytes,
    );
  }

  /** Runs the ioctl. Throws an errno. */
  abstract execute(): void;
}

/** A {@link CommandBuffer} with the struct's fields. */
export class Ucmd<T> extends CommandBuffer {
  /** The struct: reading and writing its fields reads and writes {@link CommandBuffer.bytes}. */
  readonly cmd: T;
  readonly #execute: (ucmd: Ucmd<T>) => void;

  /** A buffer that `view` gives fields to. */
  constructor(
    ctx: IommufdCtx,
    bytes: Uint8Array,
    view: (bytes: Uint8Array) => T,
    execute: (ucmd: Ucmd<T>) => void,
  ) {
    super(ctx, bytes);
    this.cmd = view(bytes);
    this.#execute = execute;
  }

  /** Runs the ioctl with the struct that was loaded. */
  override execute(): void {
    this.#execute(this);
  }
}
