// SPDX-License-Identifier: GPL-2.0-only

/**
 * Files with memory behind them: memfds, and regular files through their page
 * cache.
 *
 * @module
 */

import { EACCES, EFBIG, EINVAL, EPERM, Errno } from "../../uapi/errno.ts";
import {
  CAP_DAC_OVERRIDE,
  O_ACCMODE,
  O_RDWR,
  O_TRUNC,
  PAGE_SIZE,
  PROT_WRITE,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from "../../uapi/mman.ts";
import { File, type FileMapping, type MapRequest } from "./file.ts";
import type { MemoryObject } from "../interfaces/memory_object.ts";
import type { Task } from "../interfaces/task.ts";
import type { MemoryInode } from "./memory_inode.ts";

/** No file is so long (Linux: MAX_LFS_FILESIZE). */
const MAX_FILE_SIZE = 2 ** 63;
/** Bytes that are copied at once. */
const CHUNK = 65536;

/** An open memory file with its position. */
export class MemoryFile extends File {
  readonly #inode: MemoryInode;
  readonly #object: MemoryObject;
  #position = 0;

  /** Takes over the caller's reference on the object of `inode`. */
  constructor(inode: MemoryInode, access: number = O_RDWR) {
    super(access);
    this.#inode = inode;
    this.#object = inode.object;
  }

  /**
   * Opens a file that is there; `flags` are `O_*`. Throws EACCES where it is
   * another user's, EPERM where it is sealed and would be cut off. (Linux:
   * may_open, handle_truncate.)
   */
  static open(inode: MemoryInode, task: Task, flags: number): MemoryFile {
    if (!inode.isOf(task, CAP_DAC_OVERRIDE)) throw EACCES;
    if ((flags & O_TRUNC) !== 0) inode.truncate(0);
    inode.object.get();
    return new MemoryFile(inode, flags & O_ACCMODE);
  }

  /** Once more, with a position of its own. */
  override reopen(task: Task, flags: number): File {
    return MemoryFile.open(this.#inode, task, flags);
  }

  /** That of its memory. */
  override get pageSize(): number {
    return this.#object.pageSize;
  }

  /** Where it is in a tmpfs. */
  override get pinnable(): MemoryObject | undefined {
    return this.#inode.seals === undefined ? undefined : this.#object;
  }

  /** Throws EPERM for a mapping that writes what is sealed. */
  override checkMap({ prot, shared }: MapRequest): void {
    if (shared && this.#inode.isWriteSealed && (prot & PROT_WRITE) !== 0) {
      throw EPERM.because("the file is sealed against writes");
    }
  }

  /** The object, from the page of the offset on. Throws EINVAL for an offset within a huge page. */
  override mmap({ offset, shared }: MapRequest): FileMapping {
    const object = this.#object;
    const isSealed = shared && this.#inode.isWriteSealed;
    if (offset % object.pageSize !== 0) throw EINVAL;
    const mapping = { object, pageIndex: offset / PAGE_SIZE };
    return isSealed ? { ...mapping, mayWrite: false } : mapping;
  }

  /** It has a position, and can be read and written elsewhere. */
  override get hasOffsets(): boolean {
    return true;
  }

  /** Reads from the offset, or from the position on and moves it. Throws EFAULT if nothing could be copied. */
  override read(
    process: Task,
    uaddr: number,
    count: number,
    offset?: number,
  ): number {
    return this.#inChunks(count, offset, (part, done, at) => {
      const n = this.#object.read(at, part);
      process.mm.copyToUser(uaddr + done, part.subarray(0, n));
      return n;
    });
  }

  /**
   * Writes at the offset, or at the position and moves it, making the file
   * longer. Throws EFAULT, ENOMEM, or EPERM where it is sealed, if nothing could
   * be written, EINVAL for huge pages, which have no write (Linux:
   * hugetlbfs_file_operations).
   */
  override write(
    process: Task,
    uaddr: number,
    count: number,
    offset?: number,
  ): number {
    if (this.#object.huge) throw EINVAL;
    this.#inode.checkWrite(offset ?? this.#position, count);
    return this.#inChunks(count, offset, (part, done, at) => {
      process.mm.copyFromUser(part, uaddr + done);
      return this.#object.write(at, part);
    });
  }

  /** Throws EINVAL if the length cannot be, EPERM where it is sealed. */
  override truncate(length: number): void {
    this.#inode.truncate(length);
  }

  /** Throws EFBIG beyond the longest file, EPERM where it is sealed, ENOMEM. */
  override fallocate(mode: number, offset: number, length: number): void {
    if (offset + length >= MAX_FILE_SIZE) throw EFBIG;
    this.#inode.fallocate(mode, offset, length);
  }

  /** Throws EINVAL for a position before the beginning. Holes are not looked for. */
  override seek(offset: number, whence: number): number {
    const position = this.#origin(whence) + offset;
    if (!(position >= 0 && position < MAX_FILE_SIZE)) throw EINVAL;
    return this.#position = position;
  }

  /** Throws EINVAL for a file that is in no tmpfs. */
  override get seals(): number {
    return this.#inode.seals ?? super.seals;
  }

  /** Throws EINVAL, EPERM, EBUSY. */
  override addSeals(seals: number): void {
    this.#inode.addSeals(seals);
  }

  /** Drops the object. */
  protected override release(): void {
    this.#object.put();
  }

  /** From where a position is counted. Throws EINVAL. */
  #origin(whence: number): number {
    switch (whence) {
      case SEEK_SET:
        return 0;
      case SEEK_CUR:
        return this.#position;
      case SEEK_END:
        return this.#object.size;
      default:
        throw EINVAL;
    }
  }

  /**
   * Moves `count` bytes chunk by chunk; `move` is told how many are done and
   * where in the file the chunk is. An errno ends it: the bytes moved until then
   * are the result, or the errno if there are none.
   */
  #inChunks(
    count: number,
    offset: number | undefined,
    move: (part: Uint8Array, done: number, at: number) => number,
  ): number {
    const chunk = new Uint8Array(Math.min(count, CHUNK));
    const start = offset ?? this.#position;
    let done = 0;
    try {
      while (done < count) {
        const part = chunk.subarray(0, Math.min(chunk.length, count - done));
        const n = move(part, done, start + done);
        done += n;
        if (n < part.length) break;
      }
    } catch (error) {
      if (done === 0 || !(error instanceof Errno)) throw error;
    }
    if (offset === undefined) this.#position += done;
    return done;
  }
}
