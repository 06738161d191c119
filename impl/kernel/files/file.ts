// SPDX-License-Identifier: GPL-2.0-only

/**
 * Open files.
 *
 * @module
 */

import {
  EACCES,
  EEXIST,
  EINVAL,
  ENODEV,
  ENOTDIR,
  ENOTTY,
  ENXIO,
  ESPIPE,
} from "../../uapi/errno.ts";
import {
  CAP_DAC_OVERRIDE,
  O_ACCMODE,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  PAGE_SIZE,
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

/** Opens a device for a task; `access` is `O_RDONLY`, `O_WRONLY` or `O_RDWR`. It may throw an errno. */
export type OpenDevice = (task: Task, access: number) => File;

/** Opens a device, `flags` are `O_*`; its file can be opened once more. Throws what the device throws. */
export function openDevice(
  device: OpenDevice,
  task: Task,
  flags: number,
): File {
  const file = device(task, flags & O_ACCMODE);
  file.device = device;
  return file;
}

/** What open says of a file that is there: throws EEXIST where a new one is asked for, ENOTDIR where a directory is. */
export function checkIsThere(flags: number): void {
  const creates = O_CREAT | O_EXCL;
  if ((flags & creates) === creates) throw EEXIST;
  if ((flags & O_DIRECTORY) !== 0) throw ENOTDIR;
}

/** What of a file is to be mapped, and how. */
export interface MapRequest {
  /** Byte offset in the file, a multiple of a page. */
  readonly offset: number;
  /** Bytes, a multiple of a page. */
  readonly length: number;
  /** `PROT_*` bits. */
  readonly prot: number;
  /** Whether writes may reach the file: never if it was opened for reading only (Linux: VM_SHARED). */
  readonly shared: boolean;
}

/** Where in memory a part of a file is. */
export interface FileMapping {
  /** The memory that its mappings share. No reference is taken for the caller. */
  readonly object: MemoryObject;
  /** Index of the part's first page in it. */
  readonly pageIndex: number;
  /** False where mprotect may not make it writable (Linux: VM_MAYWRITE); default as the file was opened. */
  readonly mayWrite?: boolean;
  /** Present for memory of a device; nothing was opened for the caller. */
  readonly device?: DeviceMapping;
}

/**
 * A mapping of memory that is a device's: it cannot be pinned, and its owner
 * counts the mappings that there are (Linux: vm_operations_struct of a mapping
 * with VM_PFNMAP).
 */
export interface DeviceMapping {
  /** There is one more: it was mapped, forked, or cut in two. */
  open(): void;
  /** There is one less. */
  close(): void;
  /** Where a byte of the memory is, as DMA reaches it; undefined while it is nowhere. */
  physical?(offset: number): number | undefined;
  /** The program stored `length` bytes at byte `offset` of the memory, where the machine can see that. */
  stored?(offset: number, length: number): void;
  /** The program stored something from byte `offset` of the memory on, nobody knows how long. */
  touched?(offset: number): void;
  /** The owner has to be told of each store, where the machine can do that; default false. */
  readonly seesStores?: boolean;
  /** Where the machine cannot see that: what is to look again and again. All mappings of a device have the same. */
  readonly polled?: Polled;
}

/** What looks at memory that programs store to. */
export interface Polled {
  /** Looks, and acts on what is new; returns whether there was something. */
  poll(): boolean;
}

/** The counter of an eventfd, for whoever has it signalled, or waits for it (Linux: struct eventfd_ctx). */
export interface Eventfd extends File {
  /** Adds 1, unless it is full (Linux: eventfd_signal). */
  signal(): void;
  /** Makes it 0; returns what it was (Linux: eventfd_ctx_do_read). */
  take(): bigint;
}

/**
 * An open file (Linux: struct file with its file_operations). It starts with
 * one reference; descriptors and kernel users hold more. What a kind of file
 * does not override fails as Linux fails it.
 */
export abstract class File {
  /** `O_RDONLY`, `O_WRONLY` or `O_RDWR`: what the file was opened for; `O_ACCMODE` for neither (Linux: f_mode). */
  readonly access: number;
  /** What opens the device that it is of, where it is of one (Linux: the inode's i_fop). */
  device: OpenDevice | undefined;
  #refs = 1;
  #waiters: Set<() => void> | undefined;

  /** Opens it for reading and writing unless told otherwise. */
  constructor(access: number = O_RDWR) {
    this.access = access;
  }

  /** Whether it was opened for reading (Linux: FMODE_READ). */
  get isReadable(): boolean {
    return this.access === O_RDONLY || this.access === O_RDWR;
  }

  /** Whether it was opened for writing (Linux: FMODE_WRITE). */
  get isWritable(): boolean {
    return this.access === O_WRONLY || this.access === O_RDWR;
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

  /** Sets the length in bytes. Throws EINVAL for a file without one. */
  truncate(_length: number): void {
    throw EINVAL;
  }

  /**
   * Allocates a part of it, or makes that a hole: `mode` is `FALLOC_FL_*`.
   * Throws ENODEV for what is no regular file.
   */
  fallocate(_mode: number, _offset: number, _length: number): void {
    throw ENODEV;
  }

  /** Moves its position, `whence` is `SEEK_*`; returns it. Throws ESPIPE for a file without one. */
  seek(_offset: number, _whence: number): number {
    throw ESPIPE;
  }

  /** Its seals, `F_SEAL_*`. Throws EINVAL for a file that cannot have any. */
  get seals(): number {
    throw EINVAL;
  }

  /** Adds seals. Throws EINVAL for a file that cannot have any. */
  addSeals(_seals: number): void {
    throw EINVAL;
  }

  /**
   * The memory whose pages can be pinned by their place in the file, from any
   * process: that of a memfd or a file of a tmpfs, of huge pages too. Undefined
   * for another file. (Linux: what memfd_pin_folios takes.)
   */
  get pinnable(): MemoryObject | undefined {
    return undefined;
  }

  /** Its counter, if it is an eventfd. */
  get eventfd(): Eventfd | undefined {
    return undefined;
  }

  /** Opens once more what it is, as the path of its descriptor does. Throws ENXIO where there is nothing to open, EACCES for who is not root besides (Linux: an anonymous inode). */
  reopen(task: Task, flags: number): File {
    if (this.device === undefined) {
      throw task.user.uid === 0 || task.capable(CAP_DAC_OVERRIDE)
        ? ENXIO
        : EACCES;
    }
    return openDevice(this.device, task, flags);
  }

  /** What the link of its descriptor says where it was opened by no path (Linux: anon_inode_getfile). */
  get label(): string {
    return "anon_inode:[file]";
  }

  /** Lines that `/proc/PID/fdinfo` has of it besides what it has of every file (Linux: show_fdinfo). */
  get fdinfo(): string {
    return "";
  }

  /** Bytes of the pages that its mappings consist of (Linux: is_file_hugepages, hstate_file). */
  get pageSize(): number {
    return PAGE_SIZE;
  }

  /**
   * What is mapped of it: who maps asks here. Where it refuses, what was mapped
   * in the place is gone already, and `lose` is called; not so where it has no
   * mmap that could refuse. Throws what {@link checkMap} and {@link mmap} throw.
   * (Linux: mmap_region, vms_clean_up_area.)
   */
  mapping(request: MapRequest, lose: () => void = () => {}): FileMapping {
    this.checkMap(request);
    try {
      return this.mmap(request);
    } catch (error) {
      if (!ENODEV.is(error)) lose();
      throw error;
    }
  }

  /** Asked before {@link mmap}: refuses a mapping before what was mapped there goes. Throws EPERM for what is sealed. (Linux: mapping_map_writable.) */
  checkMap(_request: MapRequest): void {}

  /**
   * What a part of it is when it is mapped. Throws ENODEV for a file that
   * cannot be mapped; a file that can refuses with errnos of its own.
   */
  mmap(_request: MapRequest): FileMapping {
    throw ENODEV;
  }

  /** Runs once, when the last reference is gone. */
  protected release(): void {}
}
