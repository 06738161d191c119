// SPDX-License-Identifier: GPL-2.0-only

/**
 * Open files.
 *
 * @module
 */

import { EINVAL, ENODEV, ENOTTY } from "../uapi/errno.ts";
import { POLLERR } from "../uapi/mman.ts";
import type { Process } from "./process.ts";
import { KernelBug } from "./warn.ts";

/**
 * An open file (Linux: struct file with its file_operations). It starts with
 * one reference; descriptors and kernel users hold more. What a kind of file
 * does not override fails as Linux fails it.
 */
export abstract class File {
  #refs = 1;

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
   * number. Returns a non-negative result. Throws an errno.
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

  /** The `POLL*` conditions that hold now. */
  poll(): number {
    return POLLERR;
  }

  /** Sets the length in bytes (memfd only). */
  truncate(_length: number): void {
    throw EINVAL;
  }

  /**
   * The frame behind page `index` of the file for a memory mapping, allocated
   * if needed. Throws EFAULT beyond the end, ENODEV for files without memory.
   */
  mapPage(_index: number): number {
    throw ENODEV;
  }

  /** Runs once, when the last reference is gone. */
  protected release(): void {}
}
