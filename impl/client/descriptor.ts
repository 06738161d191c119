// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the parts of the typed client share: an open descriptor, and system
 * calls that throw.
 *
 * @module
 */

import type { Process } from "../kernel/simulated/process.ts";
import { KernelBug } from "../kernel/warn.ts";
import { errnoFromCode, ESRCH } from "../uapi/errno.ts";
import type { IoctlStruct, Numbered, PlainIoctl } from "../uapi/ioctl.ts";
import * as mman from "../uapi/mman.ts";
import type { Values } from "../uapi/layout/struct.ts";
import { pass, type Passed, toU32 } from "./arguments.ts";
import {
  type ArgumentFields,
  type CallArguments,
  IommufdError,
} from "./error.ts";

/** The result of a system call, if it succeeded. Throws {@link IommufdError}. */
export function check(
  process: Process,
  ret: number,
  call: string,
  args: CallArguments,
  fields: ArgumentFields = {},
): number {
  if (ret >= 0) return ret;
  const errno = errnoFromCode(-ret);
  if (errno === undefined) {
    throw new KernelBug(`${call} returned ${ret}, which is no errno`);
  }
  // The one thing that a program could not see.
  const { lastErrno } = process.kernel;
  const why = errno.is(lastErrno) ? lastErrno!.why() : errno.message;
  throw new IommufdError(call, errno, args, why, fields);
}

/** An open descriptor of a process. */
export class Descriptor {
  /** The process that makes the calls. */
  readonly process: Process;
  /** The descriptor. */
  readonly fd: number;
  #open = true;

  /** Takes over an open descriptor. */
  constructor(process: Process, fd: number) {
    this.process = process;
    this.fd = fd;
  }

  /** An ioctl with a struct; returns the struct as the kernel left it. */
  call<T extends object>(layout: IoctlStruct<T>, options: Values<T>): T {
    const passed = pass(layout, options);
    const bytes = layout.encode(passed.values);
    this.send(layout.ioctl, bytes, passed);
    return layout.decode(bytes);
  }

  /** An ioctl with the bytes of a struct, which are updated in place; `passed` is what an error tells of them. Returns its result. */
  send(
    { name, number }: Numbered,
    bytes: Uint8Array,
    { args, fields }: Passed<object>,
  ): number {
    this.#checkOpen();
    const { process, fd } = this;
    const ret = process.ioctlStruct(fd, number, bytes);
    return check(process, ret, name, args, fields);
  }

  /** An ioctl whose argument is a plain number, called `name`; returns its result. */
  callNumber({ ioctl, arg }: PlainIoctl, name: string, value: number): number {
    this.#checkOpen();
    const { process, fd } = this;
    const ret = process.ioctl(fd, ioctl.number, toU32(name, value));
    const args = arg.role.kind === "unused" ? {} : { [name]: value };
    return check(process, ret, ioctl.name, args, { [name]: arg });
  }

  /** Closes the descriptor. Idempotent; nothing to do after the process exited. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    const { process, fd } = this;
    const ret = process.close(fd);
    if (ret !== -ESRCH.code) check(process, ret, "close", { fd });
  }

  #checkOpen(): void {
    // The number may belong to another file by now.
    if (!this.#open) {
      throw new TypeError(`Descriptor ${this.fd} was closed by this client`);
    }
  }
}

/** Memory of a process for as long as an ioctl needs an array there. */
export class ScratchMemory implements Disposable {
  /** Its address. */
  readonly address: number;
  readonly #process: Process;
  readonly #length: number;

  /** At least `bytes` bytes, all present. Throws {@link IommufdError} with ENOMEM. */
  constructor(process: Process, bytes: number) {
    const length = Math.ceil(Math.max(bytes, 1) / mman.PAGE_SIZE) *
      mman.PAGE_SIZE;
    const prot = mman.PROT_READ | mman.PROT_WRITE;
    const flags = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS;
    this.#process = process;
    this.#length = length;
    const address = process.mmap(0, length, prot, flags);
    this.address = check(process, address, "mmap", { length });
    const ret = process.madvise(address, length, mman.MADV_POPULATE_WRITE);
    if (ret < 0) this[Symbol.dispose]();
    check(process, ret, "madvise", { length });
  }

  /** Puts bytes there. */
  store(bytes: Uint8Array): void {
    this.#process.poke(this.address, bytes);
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    this.#process.munmap(this.address, this.#length);
  }
}
