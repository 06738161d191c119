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
import { itemSize } from "./entry.ts";
import { makeClean, takeDirtyPairs } from "./items.ts";
import { entryItems, type TablePart, type Visitor } from "./walk.ts";

/** A range of granules, and what was found in it so far. */
export class DirtyWalk implements Visitor {
  readonly #first: number;
  readonly #end: number;
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
    this.#first = first;
    this.#end = end;
    this.#granule = granule;
    this.#clears = clears;
    this.#dirty = dirty;
  }

  /** Takes an entry with a dirty item; of those of two items those behind it too. */
  visit({ table, level, start, stop }: TablePart, index: number): number {
    const items = entryItems(table, level, index);
    const head = index - index % items;
    const size = items * itemSize(level);
    const at = start + head * itemSize(level);
    const from = Math.max(at, this.#first);
    const to = Math.min(at + size, this.#end);
    if (to - from < size) {
      this.#report(from, to - from, 1);
      return head + items;
    }
    let count = 1;
    if (items === 2 && level === 0) {
      const last = Math.min(stop, head + this.#end - at);
      count = takeDirtyPairs(table, head, last, this.#clears);
    } else if (this.#clears) makeClean(table, head, items);
    this.#report(at, size, count);
    return head + count * items;
  }

  #report(start: number, size: number, count: number): void {
    if (size !== this.#size || start !== this.#start + this.#count * size) {
      this.flush();
      this.#start = start;
      this.#size = size;
    }
    this.#count += count;
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
