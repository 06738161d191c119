// SPDX-License-Identifier: GPL-2.0-only

/**
 * /dev/null: also what descriptors 0 to 2 of a fresh process are.
 *
 * @module
 */

import { File } from "./file.ts";

/** Reads nothing, swallows everything. */
export class NullFile extends File {
  /** The end of the file. */
  override read(): number {
    return 0;
  }

  /** Everything is written. */
  override write(_process: unknown, _uaddr: number, count: number): number {
    return count;
  }

  /** It stays at the beginning. */
  override seek(): number {
    return 0;
  }

  /** At any offset the same. */
  override get hasOffsets(): boolean {
    return true;
  }
}
