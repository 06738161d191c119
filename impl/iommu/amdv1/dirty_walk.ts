// SPDX-License-Identifier: GPL-2.0-only

/**
 * Reading which entries devices wrote through.
 *
 * A device marks one item of an entry, and an entry is dirty if any of its
 * items is: what it maps is reported as a whole and made clean as a whole.
 *
 * A range may begin or end within an entry. Then only what lies in the range
 * is reported, and the entry stays dirty for the one who asks for the rest.
 * (Linux reports all of the entry and makes it clean; what is reported before
 * the range gets lost, and what lies behind it is written behind the end of
 * the caller's bitmap.)
 *
 * @module
 */

import type { DirtyBitmap } from "../dirty.ts";
import { D } from "./entry.ts";
import type { Table } from "./table.ts";

/** A range of granules, and what was found in it so far. */
export class DirtyWalk {
  /** Its first granule. */
  readonly first: number;
  /** The granule after its last. */
  readonly end: number;
  readonly #granule: number;
  readonly #clears: boolean;
  readonly #dirty: DirtyBitmap;
  /** Entries of one size in a row that are not yet reported. */
  #start = 0;
  #size = 0;
  #count = 0;

  /** The range from granule `first` up to `end`. `clears` makes clean what is dirty. */
  constructor(
    first: number,
    end: number,
    granule: number,
    clears: boolean,
    dirty: DirtyBitmap,
  ) {
    this.first = first;
    this.end = end;
    this.#granule = granule;
    this.#clears = clears;
    this.#dirty = dirty;
  }

  /** Looks at the entry of `items` items from `index` on, which maps `size` granules from granule `at` on. */
  visit(
    table: Table,
    index: number,
    items: number,
    at: number,
    size: number,
  ): void {
    if (!isDirty(table.words, index, items)) return;
    const start = Math.max(at, this.first);
    const stop = Math.min(at + size, this.end);
    this.#report(start, stop - start);
    const isWhole = stop - start === size;
    if (this.#clears && isWhole) makeClean(table.words, index, items);
  }

  #report(start: number, size: number): void {
    if (size !== this.#size || start !== this.#start + this.#count * size) {
      this.flush();
      this.#start = start;
      this.#size = size;
    }
    this.#count++;
  }

  /** Reports what was found and not yet reported. */
  flush(): void {
    if (this.#count === 0) return;
    const granule = this.#granule;
    this.#dirty.record(
      this.#start * granule,
      this.#size * granule,
      this.#count,
    );
    this.#count = 0;
  }
}

function isDirty(words: Int32Array, index: number, items: number): boolean {
  for (let at = 2 * index; at < 2 * (index + items); at += 2) {
    if ((words[at]! & D) !== 0) return true;
  }
  return false;
}

function makeClean(words: Int32Array, index: number, items: number): void {
  for (let at = 2 * index; at < 2 * (index + items); at += 2) {
    words[at]! &= ~D;
  }
}
