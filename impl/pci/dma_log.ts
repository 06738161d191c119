// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a device wrote by itself, noted for somebody who copies its memory
 * meanwhile.
 *
 * @module
 */

import { PAGE_SIZE } from "../uapi/mman.ts";

/** A range of IOVA that somebody wants to know of. */
export interface LoggedRange {
  /** Where it begins. */
  readonly iova: bigint;
  /** Bytes. */
  readonly length: bigint;
}

/** Pages that were written, in some ranges. */
export class DmaLog {
  readonly #ranges: readonly LoggedRange[];
  /** Numbers of pages. */
  readonly #written: Set<number> = new Set();

  /** Nothing was written yet. */
  constructor(ranges: readonly LoggedRange[]) {
    this.#ranges = ranges;
  }

  /** The device wrote so many bytes. */
  wrote(iova: number, length: number): void {
    const end = (iova + length) / PAGE_SIZE;
    for (let page = Math.floor(iova / PAGE_SIZE); page < end; page++) {
      if (this.#isWanted(page)) this.#written.add(page);
    }
  }

  /** The IOVAs of pages that were written in a range, which are forgotten. */
  *take({ iova, length }: LoggedRange): Generator<number> {
    const [from, end] = [Number(iova), Number(iova + length)];
    for (const page of this.#written) {
      const at = page * PAGE_SIZE;
      if (at + PAGE_SIZE <= from || at >= end) continue;
      this.#written.delete(page);
      yield at;
    }
  }

  #isWanted(page: number): boolean {
    const at = BigInt(page * PAGE_SIZE);
    return this.#ranges.some(({ iova, length }) =>
      at + BigInt(PAGE_SIZE) > iova && at < iova + length
    );
  }
}
