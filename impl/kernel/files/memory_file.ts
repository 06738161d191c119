// SPDX-License-Identifier: GPL-2.0-only

/**
 * Files with memory behind them: memfds, and regular files through their page
 * cache.
 *
 * @module
 */

import { EINVAL, Errno } from "../../uapi/errno.ts";
import { O_RDWR } from "../../uapi/mman.ts";
import { File } from "./file.ts";
import type { MemoryObject } from "../interfaces/memory_object.ts";
import type { Process } from "../simulated/process.ts";

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

  /** The object behind it. */
  override get memory(): MemoryObject {
    return this.#object;
  }

  /** Reads from the position on and moves it. Throws EFAULT if nothing could be copied. */
  override read(process: Process, uaddr: number, count: number): number {
    const chunk = new Uint8Array(Math.min(count, CHUNK));
    return inChunks(count, chunk, (part, done) => {
      const n = this.#object.read(this.#position, part);
      process.mm.copyToUser(uaddr + done, part.subarray(0, n));
      this.#position += n;
      return n;
    });
  }

  /**
   * Writes at the position and moves it, making the file longer. Throws EFAULT
   * or ENOMEM if nothing could be written, EINVAL for huge pages, which have no
   * write (Linux: hugetlbfs_file_operations).
   */
  override write(process: Process, uaddr: number, count: number): number {
    if (this.#object.huge) throw EINVAL;
    const chunk = new Uint8Array(Math.min(count, CHUNK));
    return inChunks(count, chunk, (part, done) => {
      process.mm.copyFromUser(part, uaddr + done);
      const n = this.#object.write(this.#position, part);
      this.#position += n;
      return n;
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
}

/**
 * Moves `count` bytes through `chunk`. An errno ends it: the bytes moved until
 * then are the result, or the errno if there are none.
 */
function inChunks(
  count: number,
  chunk: Uint8Array,
  move: (part: Uint8Array, done: number) => number,
): number {
  let done = 0;
  try {
    while (done < count) {
      const part = chunk.subarray(0, Math.min(chunk.length, count - done));
      const n = move(part, done);
      done += n;
      if (n < part.length) break;
    }
  } catch (error) {
    if (done === 0 || !(error instanceof Errno)) throw error;
  }
  return done;
}
