// SPDX-License-Identifier: GPL-2.0-only

/**
 * Files with memory behind them: memfds, and regular files through their page
 * cache.
 *
 * @module
 */

import { EINVAL, Errno } from "../../uapi/errno.ts";
import { HPAGE_SIZE, O_RDWR, PAGE_SIZE } from "../../uapi/mman.ts";
import { File, type FileMapping } from "./file.ts";
import type { MemoryObject } from "../interfaces/memory_object.ts";
import type { Task } from "../interfaces/task.ts";

/** Bytes that are copied at once. */
const CHUNK = 65536;

/** An open memory file with its position. */
export class MemoryFile extends File {
  readonly #object: MemoryObject;
  #position = 0;

  /** Takes over the caller's reference on `object`. */
  constructor(object: MemoryObject, access: number = O_RDWR) {
    super(access);
    this.#object = object;
  }

  /** Whether they are huge pages. */
  override get hasHugePages(): boolean {
    return this.#object.huge;
  }

  /** The object, from the page of the offset on. Throws EINVAL for an offset within a huge page. */
  override mmap(offset: number): FileMapping {
    const object = this.#object;
    if (object.huge && offset % HPAGE_SIZE !== 0) throw EINVAL;
    return { object, pageIndex: offset / PAGE_SIZE };
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
   * longer. Throws EFAULT or ENOMEM if nothing could be written, EINVAL for huge
   * pages, which have no write (Linux: hugetlbfs_file_operations).
   */
  override write(
    process: Task,
    uaddr: number,
    count: number,
    offset?: number,
  ): number {
    if (this.#object.huge) throw EINVAL;
    return this.#inChunks(count, offset, (part, done, at) => {
      process.mm.copyFromUser(part, uaddr + done);
      return this.#object.write(at, part);
    });
  }

  /** Throws EINVAL if the length cannot be. */
  override truncate(length: number): void {
    this.#object.truncate(length);
  }

  /** Drops the object. */
  protected override release(): void {
    this.#object.put();
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
