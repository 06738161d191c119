// SPDX-License-Identifier: GPL-2.0-only

/**
 * What is behind a namespace of an NVMe drive.
 *
 * @module
 */

/** Bytes that a drive keeps: memory, or a file. All parts are within the size. */
export interface NvmeStorage {
  /** Bytes, a multiple of 512. */
  readonly size: number;
  /** Nothing can be written; default false. */
  readonly isReadOnly?: boolean;
  /**
   * The bytes of a part, which nobody writes to; they are good until the next
   * call. Throws where that fails: the command has an error then.
   */
  read(offset: number, length: number): Uint8Array;
  /**
   * Has `fill` fill the bytes of a part. Where that throws, the part may have
   * some of them; the error goes on to the caller. Throws as {@link read}.
   */
  write(
    offset: number,
    length: number,
    fill: (bytes: Uint8Array) => void,
  ): void;
  /** Makes a part zero. Throws as {@link read}. */
  zero(offset: number, length: number): void;
  /** Makes sure that what was written stays. Throws as {@link read}. */
  flush(): void;
}

/** Bytes that take room together. */
const CHUNK = 2 ** 20;
/** What was never written. */
const ZEROES = new Uint8Array(CHUNK);

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

  /** The memory itself, or a copy of a part that lies in two chunks. */
  read(offset: number, length: number): Uint8Array {
    const at = offset % CHUNK;
    if (at + length <= CHUNK) {
      const chunk = this.#chunks.get(Math.floor(offset / CHUNK)) ?? ZEROES;
      return chunk.subarray(at, at + length);
    }
    const bytes = new Uint8Array(length);
    eachChunk(offset, length, (index, at, from, end) => {
      const chunk = this.#chunks.get(index);
      if (chunk) bytes.set(chunk.subarray(at, at + end - from), from);
    });
    return bytes;
  }

  /** Has the memory itself filled, or a copy of a part that lies in two chunks. */
  write(
    offset: number,
    length: number,
    fill: (bytes: Uint8Array) => void,
  ): void {
    const at = offset % CHUNK;
    if (at + length <= CHUNK) {
      const chunk = this.#chunkAt(Math.floor(offset / CHUNK));
      return fill(chunk.subarray(at, at + length));
    }
    const bytes = new Uint8Array(length);
    fill(bytes);
    eachChunk(offset, length, (index, at, from, end) => {
      this.#chunkAt(index).set(bytes.subarray(from, end), at);
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

  #chunkAt(index: number): Uint8Array {
    let chunk = this.#chunks.get(index);
    if (chunk === undefined) {
      chunk = new Uint8Array(CHUNK);
      this.#chunks.set(index, chunk);
    }
    return chunk;
  }
}

function eachChunk(
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
