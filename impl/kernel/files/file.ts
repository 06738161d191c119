// SPDX-License-Identifier: GPL-2.0-only

/**
 * Open files.
 *
 * @module
 */

import { EINVAL, ENOTTY } from "../../uapi/errno.ts";
import {
  O_RDWR,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from "../../uapi/mman.ts";
import type { MemoryObject } from "../interfaces/memory_object.ts";
import type { Process } from "../simulated/process.ts";
import { KernelBug } from "../warn.ts";

/** What poll answers for a file without conditions of its own: Linux's constant of that name. */
const DEFAULT_POLLMASK: number = POLLIN | POLLOUT | POLLRDNORM |
  POLLWRNORM;

/**
 * An open file (Linux: struct file with its file_operations). It starts with
 * one reference; descriptors and kernel users hold more. What a kind of file
 * does not override fails as Linux fails it.
 */
export abstract class File {
  /** `O_RDONLY`, `O_WRONLY` or `O_RDWR`: what the file was opened for (Linux: f_mode). */
  readonly access: number;
  #refs = 1;

  /** Opens it for reading and writing unless told otherwise. */
  constructor(access: number = O_RDWR) {
    this.access = access;
  }

  /** References held; 0 after the release. */
  get refs(): number {
    return this.#refs;
  }

  /** Takes a reference (Linux: get_file). */
  get(): this {
    if (this.#refs === 0) throw new KernelBug("Cannot get a released file");
    this.#refs++;
    return this;
  }

  /** Drops a reference; the last one releases the file (Linux: fput). */
  put(): void {
    if (this.#refs === 0) throw new KernelBug("Cannot put a released file");
    if (--this.#refs === 0) this.release();
  }

  /**
   * Handles an ioctl. `arg` is what the caller passed: an address, or a plain
   * number. Returns the result, which may be a negative errno, or throws one.
   */
  ioctl(_process: Process, _cmd: number, _arg: number | bigint): number {
    throw ENOTTY;
  }

  /** Reads up to `count` bytes into the process's memory at `uaddr`; returns bytes read. */
  read(_process: Process, _uaddr: number, _count: number): number {
    throw EINVAL;
  }

  /** Writes `count` bytes from the process's memory at `uaddr`; returns bytes written. */
  write(_process: Process, _uaddr: number, _count: number): number {
    throw EINVAL;
  }

  /** The `POLL*` conditions that hold now: a file that does not say is always ready. */
  poll(): number {
    return DEFAULT_POLLMASK;
  }

  /** Sets the length in bytes (memfd only). */
  truncate(_length: number): void {
    throw EINVAL;
  }

  /** What mmap of this file maps; undefined for files without memory, which is ENODEV there. */
  get memory(): MemoryObject | undefined {
    return undefined;
  }

  /** Runs once, when the last reference is gone. */
  protected release(): void {}
}
