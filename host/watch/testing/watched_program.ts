// SPDX-License-Identifier: GPL-2.0-only

/**
 * A simulated process whose calls are watched, as those of a real program are.
 *
 * @module
 */

import { Kernel, type KernelOptions } from "../../../mod.ts";
import type { Process, SpawnOptions } from "../../../mod.ts";
import type { IoctlStruct } from "../../../impl/uapi/ioctl.ts";
import * as mman from "../../../impl/uapi/mman.ts";
import type { Watcher } from "../../calls/watcher.ts";

/** Bytes of the memory for structs. */
const ROOM = 64 * 1024;

/** A program of this language, as a watcher sees it. */
export class WatchedProgram {
  /** The process that makes the calls. */
  readonly process: Process;
  /** Memory of it, for structs and buffers. */
  readonly memory: number;
  readonly #watcher: Watcher;
  readonly #paths = new Map<number, string>();

  /** A process of a kernel, new unless one is given. */
  constructor(watcher: Watcher, process: Process = new Kernel().spawn()) {
    this.process = process;
    this.#watcher = watcher;
    watcher.began?.(process, undefined);
    const prot = mman.PROT_READ | mman.PROT_WRITE;
    const flags = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS;
    this.memory = process.mmap(0, ROOM, prot, flags);
  }

  /** A program on a kernel with options. */
  static on(
    watcher: Watcher,
    options: KernelOptions,
    spawn: SpawnOptions = {},
  ): WatchedProgram {
    return new WatchedProgram(watcher, new Kernel(options).spawn(spawn));
  }

  /** A call by its name in Linux; `make` is what the model does. */
  call(
    name: string,
    args: readonly number[],
    path: string | undefined,
    make: () => number,
    tid: number = this.process.pid,
  ): number {
    const call = { process: this.process, tid, name, args, path };
    this.#watcher.enter?.(call);
    const result = make();
    this.#watcher.leave?.(call, result);
    return result;
  }

  /** openat. */
  open(path: string, flags: number = mman.O_RDWR): number {
    const args = [-100, this.memory, flags, 0];
    const fd = this.call(
      "openat",
      args,
      path,
      () => this.process.open(path, flags),
    );
    this.#paths.set(fd, path);
    return fd;
  }

  /** An ioctl with a struct, which lies in memory. */
  ioctl<T extends object>(
    fd: number,
    layout: IoctlStruct<T>,
    values: Partial<T> = {},
  ): { ret: number; struct: T } {
    const bytes = layout.encode(values);
    this.process.poke(this.memory, bytes);
    const ret = this.ioctlAt(fd, layout.ioctl.number, this.memory);
    const struct = layout.decode(this.process.peek(this.memory, bytes.length));
    return { ret, struct };
  }

  /** An ioctl with an argument as it is. */
  ioctlAt(fd: number, cmd: number, arg: number): number {
    const path = this.#paths.get(fd);
    return this.call(
      "ioctl",
      [fd, cmd, arg],
      path,
      () => this.process.ioctl(fd, cmd, arg),
    );
  }

  /** The last close of a descriptor; `ends` if the process does not close it itself. */
  close(fd: number, ends = false): void {
    const file = this.process.files.lookup(fd);
    this.#watcher.closing?.(file, this.#paths.get(fd)!, ends);
    this.process.close(fd);
  }

  /** Closes all that is open, and ends. */
  exit(status = 0): void {
    for (const [fd] of [...this.process.files]) {
      if (this.#paths.has(fd)) this.close(fd, true);
    }
    this.process.exit();
    this.#watcher.ended?.(this.process, status << 8);
  }
}
