// SPDX-License-Identifier: GPL-2.0-only

/**
 * What is behind an NVMe drive.
 *
 * @module
 */

/** Bytes that a drive keeps: memory, or a file. */
export interface NvmeStorage {
  /** Bytes, a multiple of 512. */
  readonly size: number;
  /** Fills `to` from byte `offset` on, all within the size. Throws where that fails: the command has an error then. */
  read(offset: number, to: Uint8Array): void;
  /** Writes `from` at byte `offset`. Throws as {@link read}. */
  write(offset: number, from: Uint8Array): void;
  /** Makes `length` bytes from byte `offset` on zero. Throws as {@link read}. */
  zero(offset: number, length: number): void;
  /** Makes sure that what was written stays. Throws as {@link read}. */
  flush(): void;
}

/** Memory, zero in the beginning; only what was written takes room. */
export class NvmeMemory implements NvmeStorage {
  /** Bytes. */
  readonly size: number;
  readonly #chunks: Map<number, Uint8Array> = new Map();

  /** So many bytes. Throws a RangeError for what is no multiple of 512. */
  constructor(size: number) {
    if (!(size >= 512) || size % 512 !== 0) {
      throw new RangeError(
        `A drive has whole blocks of 512 bytes, not ${size}`,
      );
    }
    this.size = size;
  }

  /** Fills `to`. */
  read(offset: number, to: Uint8Array): void {
    this.#each(offset, to.length, (index, at, from, end) => {
      const chunk = this.#chunks.get(index);
      if (chunk === undefined) to.fill(0, from, end);
      else to.set(chunk.subarray(at, at + end - from), from);
    });
  }

  /** Writes `from`. */
  write(offset: number, bytes: Uint8Array): void {
    this.#each(offset, bytes.length, (index, at, from, end) => {
      let chunk = this.#chunks.get(index);
      if (chunk === undefined) {
        chunk = new Uint8Array(CHUNK);
        this.#chunks.set(index, chunk);
      }
      chunk.set(bytes.subarray(from, end), at);
    });
  }

  /** Forgets what was written. */
  zero(offset: number, length: number): void {
    const end = offset + length;
    for (const [index, chunk] of this.#chunks) {
      const start = index * CHUNK;
      const from = Math.max(offset, start) - start;
      const to = Math.min(end, start + CHUNK) - start;
      if (from === 0 && to === CHUNK) this.#chunks.delete(index);
      else if (from < to) chunk.fill(0, from, to);
    }
  }

  /** There is nothing to do. */
  flush(): void {}

  #each(
    offset: number,
    length: number,
    move: (index: number, at: number, from: number, end: number) => void,
  ): void {
    for (let done = 0; done < length;) {
      const at = (offset + done) % CHUNK;
      const end = Math.min(length, done + CHUNK - at);
      move(Math.floor((offset + done) / CHUNK), at, done, end);
      done = end;
    }
  }
}

/** Bytes that take room together. */
const CHUNK = 2 ** 16;
