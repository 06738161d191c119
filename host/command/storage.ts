// SPDX-License-Identifier: GPL-2.0-only

/**
 * A file that a drive of the model keeps its bytes in.
 *
 * @module
 */

import type { NvmeStorage } from "../../impl/pci/devices/nvme/storage.ts";

/** Bytes that are written at a time to make a part zero. */
const CHUNK = 2 ** 16;

/** A file, as long as it is. */
export class FileStorage implements NvmeStorage {
  readonly size: number;
  readonly isReadOnly: boolean;
  readonly #file: Deno.FsFile;
  /** What was read last, or is to be written. */
  #bytes = new Uint8Array(CHUNK);

  /**
   * Opens it, for reading only if that is said. Throws an Error for what cannot
   * be opened, a RangeError for a length that is no multiple of 512.
   */
  constructor(
    path: string,
    { isReadOnly = false }: { readonly isReadOnly?: boolean } = {},
  ) {
    const file = Deno.openSync(path, { read: true, write: !isReadOnly });
    const { size } = file.statSync();
    if (size === 0 || size % 512 !== 0) {
      file.close();
      throw new RangeError(
        `"${path}" has ${size} bytes: a drive has whole blocks of 512 bytes`,
      );
    }
    this.#file = file;
    this.size = size;
    this.isReadOnly = isReadOnly;
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = this.#room(length);
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    for (let done = 0; done < length;) {
      const count = this.#file.readSync(bytes.subarray(done));
      if (count === null) throw new Error("The file became shorter");
      done += count;
    }
    return bytes;
  }

  write(
    offset: number,
    length: number,
    fill: (bytes: Uint8Array) => void,
  ): void {
    const bytes = this.#room(length);
    fill(bytes);
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    for (let done = 0; done < length;) {
      done += this.#file.writeSync(bytes.subarray(done));
    }
  }

  zero(offset: number, length: number): void {
    for (let done = 0; done < length; done += CHUNK) {
      const count = Math.min(CHUNK, length - done);
      this.write(offset + done, count, (bytes) => bytes.fill(0));
    }
  }

  flush(): void {
    this.#file.syncDataSync();
  }

  #room(length: number): Uint8Array {
    if (this.#bytes.length < length) this.#bytes = new Uint8Array(length);
    return this.#bytes.subarray(0, length);
  }
}
