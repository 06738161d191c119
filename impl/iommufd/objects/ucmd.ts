// SPDX-License-Identifier: GPL-2.0-only

/**
 * One ioctl of the table while it runs: the struct that came in, and the way
 * the answer goes back.
 *
 * Linux: `struct iommufd_ucmd`, `IOCTL_OP` and copy_struct_from_user.
 *
 * @module
 */

import type { Task } from "../../kernel/interfaces/task.ts";
import { E2BIG } from "../../uapi/errno.ts";
import type { IoctlStruct } from "../../uapi/ioctl.ts";
import type { IommufdCtx } from "../main.ts";
import type { IommufdObject } from "./object.ts";

/** An ioctl of the table, and what runs it. */
export interface IoctlOp {
  /** The row of the table. */
  readonly struct: IoctlStruct<object>;
  /** Makes what a context needs to run the ioctl. */
  prepare(ctx: IommufdCtx): CommandBuffer;
}

/** Says what an ioctl does. */
export function ioctlOp<T extends object>(
  struct: IoctlStruct<T>,
  execute: (ucmd: Ucmd<T>) => void,
): IoctlOp {
  return { struct, prepare: (ctx) => new Ucmd(ctx, struct, execute) };
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
  /** What the ioctl returns if it succeeds. */
  result = 0;
  /**
   * The object that this call makes: it is published when the call succeeds,
   * and destroyed when it fails. (Linux: iommufd_object_alloc_ucmd.)
   */
  newObject: IommufdObject | undefined;
  #process: Task | undefined;

  /** A buffer for a struct, as long as it is in the kernel's version; views of a longer one fit over it. */
  constructor(ctx: IommufdCtx, struct: IoctlStruct<object>) {
    const size = struct.sizeIn(ctx.kernel.revision.name);
    this.ctx = ctx;
    this.bytes = new Uint8Array(struct.size).subarray(0, size);
  }

  /** The process that calls. */
  get process(): Task {
    return this.#process!;
  }

  /**
   * Copies the caller's struct in; what it does not provide reads as zero.
   * Throws E2BIG if a byte that the kernel does not know is not zero, EFAULT
   * if the struct cannot be read. (Linux: copy_struct_from_user.)
   */
  load(process: Task, uaddr: number, userSize: number): void {
    this.#process = process;
    this.result = 0;
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
      if (!process.mm.isZeroed(tail, userSize - bytes.length)) {
        throw E2BIG.because("the struct is longer than known, and not zero");
      }
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

  /** The call is over: what becomes of {@link newObject}. */
  settleNewObject(succeeded: boolean): void {
    const object = this.newObject!;
    const { objects } = this.ctx;
    this.newObject = undefined;
    if (succeeded) objects.finalize(object);
    else objects.abortAndDestroy(object);
  }
}

/** A {@link CommandBuffer} with the struct's fields. */
export class Ucmd<T extends object> extends CommandBuffer {
  /** The struct: reading and writing its fields reads and writes {@link CommandBuffer.bytes}. */
  readonly cmd: T;
  readonly #execute: (ucmd: Ucmd<T>) => void;

  /** A buffer for a struct, and what runs it. */
  constructor(
    ctx: IommufdCtx,
    struct: IoctlStruct<T>,
    execute: (ucmd: Ucmd<T>) => void,
  ) {
    super(ctx, struct);
    this.cmd = struct.at(this.bytes);
    this.#execute = execute;
  }

  /** Runs the ioctl with the struct that was loaded. */
  override execute(): void {
    this.#execute(this);
  }
}
