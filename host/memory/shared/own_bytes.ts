// SPDX-License-Identifier: GPL-2.0-only

/**
 * The bytes of memory that is the model's own, mapped here: what a device and
 * the programs that use it see of each other at once. Only the model changes
 * its length.
 *
 * @module
 */

import {
  MAP_NORESERVE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "../../../impl/uapi/mman.ts";
import { type Block, must, type Sys } from "../../sys/sys.ts";
import { copy } from "../spaces/copier.ts";

/** Bytes of a word. */
const WORD = 4;

/** See the module. */
export class OwnBytes {
  /** Bytes that it has. */
  readonly length: number;
  readonly #sys: Sys;
  readonly #block: Block;
  readonly #words: Int32Array;

  /** Maps all `length` bytes of a file. Throws a SysError. */
  constructor(sys: Sys, fd: number, length: number) {
    const { mmap } = sys.nr;
    const flags = MAP_SHARED | MAP_NORESERVE;
    const prot = PROT_READ | PROT_WRITE;
    const address = sys.call(mmap, 0, length, prot, flags, fd, 0);
    this.#sys = sys;
    this.length = length;
    this.#block = sys.blockAt(must(address, "mapping memory"), length);
    const { buffer } = this.#block.bytes;
    this.#words = new Int32Array(buffer, 0, Math.floor(length / WORD));
  }

  /** The 4 bytes from `4 * index` on. */
  word(index: number): number {
    return this.#words[index]!;
  }

  /** Fills `to` from a byte on. */
  read(offset: number, to: Uint8Array): void {
    copy(this.#block.bytes, offset, to, 0, to.length);
  }

  /** Writes `from` at a byte: a word at once. */
  write(offset: number, from: Uint8Array): void {
    if (from.length !== WORD || offset % WORD !== 0) {
      return copy(from, 0, this.#block.bytes, offset, from.length);
    }
    this.#words[offset / WORD] = from[0]! | from[1]! << 8 | from[2]! << 16 |
      from[3]! << 24;
  }

  /** Nobody may touch it any more. */
  close(): void {
    this.#sys.unmap(this.#block.address, this.length);
  }
}
