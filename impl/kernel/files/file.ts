// SPDX-License-Identifier: GPL-2.0-only

/**
 * Open files.
 *
 * @module
 */

import { EINVAL, ENODEV, ENOTTY } from "../../uapi/errno.ts";
import {
  O_RDWR,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from "../../uapi/mman.ts";
import type { MemoryObject } from "../interfaces/memory_object.ts";
import type { Task } from "../interfaces/task.ts";
import { KernelBug } from "../warn.ts";

/** What poll answers for a file without conditions of its own: Linux's constant of that name. */
const DEFAULT_POLLMASK: number = POLLIN | POLLOUT | POLLRDNORM |
  POLLWRNORM;

/** Where in memory a part of a file is. */
export interface FileMapping {
  /** The memory that its mappings share. No reference is taken for the caller. */
  readonly object: MemoryObject;
  /** Index of the part's first page in it. */
  readonly pageIndex: number;
}

/**
 * An open file (Linux: struct file with its file_operations). It starts with
 * one reference; descriptors and kernel users hold more. What a kind of file
 * does not override fails as Linux fails it.
 */
export abstract class File {
  /** `O_RDONLY`, `O_WRONLY` or `O_RDWR`: what the file was opened for (Linux: f_mode). */
  readonly access: number;
  #refs = 1;
  #waiters: Set<() => void> | undefined;

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
  ioctl(_process: Task, _cmd: number, _arg: number | bigint): number {
    throw ENOTTY;
  }

  /**
   * Reads up to `count` bytes into the process's memory at `uaddr`; returns
   * bytes read. They are from byte `offset` of the file on, which only a file
   * that {@link hasOffsets} is asked for, or from the file's own position on.
   */
  read(
    _process: Task,
    _uaddr: number,
    _count: number,
    _offset?: number,
  ): number {
    throw EINVAL;
  }

  /** Writes `count` bytes from the process's memory at `uaddr`, to where {@link read} reads; returns bytes written. */
  write(
    _process: Task,
    _uaddr: number,
    _count: number,
    _offset?: number,
  ): number {
    throw EINVAL;
  }

  /** Whether it can be read and written at an offset (Linux: FMODE_PREAD, FMODE_PWRITE). */
  get hasOffsets(): boolean {
    return false;
  }

  /** The `POLL*` conditions that hold now: a file that does not say is always ready. */
  poll(): number {
    return DEFAULT_POLLMASK;
  }

  /**
   * Has `wake` called whenever what {@link poll} answers may have changed, until
   * the function that it returns is called (Linux: poll_wait).
   */
  onPollChange(wake: () => void): () => void {
    this.#waiters ??= new Set();
    const waiter = () => wake();
    this.#waiters.add(waiter);
    return () => this.#waiters?.delete(waiter);
  }

  /** Tells those who wait that what {@link poll} answers may have changed (Linux: wake_up_poll). */
  pollChanged(): void {
    for (const wake of this.#waiters ?? []) wake();
  }

  /** Sets the length in bytes (memfd only). */
  truncate(_length: number): void {
    throw EINVAL;
  }

  /** Whether its mappings consist of huge pages (Linux: is_file_hugepages). */
  get hasHugePages(): boolean {
    return false;
  }

  /**
   * What `length` bytes from byte `offset` on are when they are mapped, both
   * multiples of a page. Throws ENODEV for a file that cannot be mapped, EINVAL.
   */
  mmap(_offset: number, _length: number): FileMapping {
    throw ENODEV;
  }

  /** Runs once, when the last reference is gone. */
  protected release(): void {}
}
