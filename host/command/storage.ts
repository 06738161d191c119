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
  readonly #file: Deno.FsFile;

  /** Opens it. Throws an Error for what cannot be opened, a RangeError for a length that is no multiple of 512. */
  constructor(path: string) {
    const file = Deno.openSync(path, { read: true, write: true });
    const { size } = file.statSync();
    if (size === 0 || size % 512 !== 0) {
      file.close();
      throw new RangeError(
        `"${path}" has ${size} bytes: a drive has whole blocks of 512 bytes`,
      );
    }
    this.#file = file;
    this.size = size;
  }

  read(offset: number, to: Uint8Array): void {
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    for (let done = 0; done < to.length;) {
      const count = this.#file.readSync(to.subarray(done));
      if (count === null) throw new Error("The file became shorter");
      done += count;
    }
  }

  write(offset: number, from: Uint8Array): void {
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    for (let done = 0; done < from.length;) {
      done += this.#file.writeSync(from.subarray(done));
    }
  }

  zero(offset: number, length: number): void {
    const zeroes = new Uint8Array(Math.min(length, CHUNK));
    for (let done = 0; done < length; done += CHUNK) {
      this.write(offset + done, zeroes.subarray(0, length - done));
    }
  }

  flush(): void {
    this.#file.syncDataSync();
  }
}
