// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a file with memory behind it is, however often it is opened.
 *
 * @module
 */

import { EBUSY, EINVAL, EPERM } from "../../uapi/errno.ts";
import {
  F_SEAL_EXEC,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  PAGE_SIZE,
} from "../../uapi/mman.ts";
import type { MemoryObject } from "../interfaces/memory_object.ts";
import type { Task } from "../interfaces/task.ts";

const WRITE_SEALS = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
/** What a file that is executable cannot be after it was sealed so. */
const EXEC_SEALS = WRITE_SEALS | F_SEAL_SHRINK | F_SEAL_GROW;

const SEALED = EPERM.because("the file is sealed against that");

/** How a file is made. */
export interface MemoryInodeOptions {
  /** `F_SEAL_*`; default that there can be none. */
  readonly seals?: number;
  /** Whether it may be executed. */
  readonly executable: boolean;
  /** The user that made it; only it may open it, as with the mode 0600. Default that all may. */
  readonly owner?: number;
}

/**
 * The pages of a file and what may be done with them (Linux: struct inode of a
 * tmpfs or hugetlbfs). Each open file and each name holds a reference on the
 * object.
 */
export class MemoryInode {
  /** Its pages. */
  readonly object: MemoryObject;
  /** `F_SEAL_*`; undefined for a file that is in no tmpfs (Linux: memfd_file_seals_ptr). */
  seals: number | undefined;
  readonly #executable: boolean;
  readonly #owner: number | undefined;

  /** Takes no reference on `object`. */
  constructor(object: MemoryObject, options: MemoryInodeOptions) {
    this.object = object;
    this.seals = options.seals;
    this.#executable = options.executable;
    this.#owner = options.owner;
  }

  /** Whether a task may do what is up to the owner, or to who has a capability. */
  isOf(task: Task, capability: number): boolean {
    return this.#owner === undefined || task.user.uid === this.#owner ||
      task.capable(capability);
  }

  /** Whether it is sealed against writes to come. */
  get isWriteSealed(): boolean {
    return this.#has(WRITE_SEALS);
  }

  /** Adds seals (Linux: memfd_add_seals). Throws EINVAL, EPERM, EBUSY. */
  addSeals(seals: number): void {
    if (this.seals === undefined) {
      throw EINVAL.because("such a file has no seals");
    }
    if (this.#has(F_SEAL_SEAL)) throw SEALED;
    const implied = (seals & F_SEAL_EXEC) !== 0 && this.#executable;
    const added = implied ? seals | EXEC_SEALS : seals;
    if ((added & F_SEAL_WRITE) !== 0 && !this.#has(F_SEAL_WRITE)) {
      this.#denyWrites();
    }
    this.seals |= added;
    this.object.writeSealed = this.isWriteSealed;
  }

  /** Sets the length. Throws EINVAL for a part of a huge page, EPERM. */
  truncate(size: number): void {
    const { object } = this;
    if (object.huge && size % object.pageSize !== 0) {
      throw EINVAL.because("the length is no multiple of a huge page");
    }
    const shrinks = size < object.size && this.#has(F_SEAL_SHRINK);
    const grows = size > object.size && this.#has(F_SEAL_GROW);
    if (shrinks || grows) throw SEALED;
    object.truncate(size);
  }

  /** Throws EPERM if the seals forbid a write (Linux: shmem_write_begin, which looks at 2 MiB at a time). */
  checkWrite(offset: number, length: number): void {
    if (length === 0) return;
    const grows = offset + length > this.object.size;
    if (this.isWriteSealed || grows && this.#has(F_SEAL_GROW)) throw SEALED;
  }

  /** Allocates a part or drops it (Linux: shmem_fallocate, hugetlbfs_fallocate). Throws EPERM, ENOMEM. */
  fallocate(mode: number, offset: number, length: number): void {
    const { object } = this;
    const end = offset + length;
    if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0) {
      if (this.isWriteSealed) throw SEALED;
      return object.punch(offset, end);
    }
    if (end > object.size && this.#has(F_SEAL_GROW)) throw SEALED;
    const { pageSize: unit } = object;
    const [first, last] = [Math.floor(offset / unit), Math.ceil(end / unit)];
    const pages = unit / PAGE_SIZE;
    object.allocate(first * pages, last * pages);
    if ((mode & FALLOC_FL_KEEP_SIZE) === 0) object.extend(end);
  }

  /** Throws EBUSY while somebody may write it still, or a device may. */
  #denyWrites(): void {
    if (this.object.writableMappings > 0) {
      throw EBUSY.because("a shared mapping of the file may write it");
    }
    if (this.object.isPinned()) {
      throw EBUSY.because("pages of the file are pinned");
    }
  }

  #has(seals: number): boolean {
    return ((this.seals ?? 0) & seals) !== 0;
  }
}
