// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tables, and the memory that they lie in.
 *
 * @module
 */

import { TABLE_ITEMS } from "./entry.ts";

/** One table of 512 items, which is a page of memory: item n is the words 2n and 2n+1. */
export class Table {
  /** The number of its page. */
  readonly page: number;
  /** The memory: two words for each item. */
  readonly words: Int32Array = new Int32Array(2 * TABLE_ITEMS);
  /**
   * The same memory with a number for each item, which is how a loop stores 64
   * bits at once. The bits 52 to 59 of an item are 0, so that none is infinite
   * or NaN; and those that differ in the address alone are as far apart as
   * their addresses, see {@link stepOf}.
   */
  readonly values: Float64Array = new Float64Array(this.words.buffer);
  /** Items that are not 0. */
  live = 0;

  /** An empty table in a page. */
  constructor(page: number) {
    this.page = page;
  }

  /** The low word of an item. */
  low(index: number): number {
    return this.words[2 * index]!;
  }

  /** The high word of an item. */
  high(index: number): number {
    return this.words[2 * index + 1]!;
  }

  /** `count` items from `index` on, as the hardware has them. */
  items(index: number, count: number): bigint[] {
    const items = new BigUint64Array(this.words.buffer);
    return [...items.subarray(index, index + count)];
  }

  /** Stores words in an item, and returns it as a number. */
  put(index: number, low: number, high: number): number {
    this.words[2 * index] = low;
    this.words[2 * index + 1] = high;
    return this.values[index]!;
  }

  /** Makes `count` items from `index` on 0, none of which was. */
  clear(index: number, count: number): void {
    this.words.fill(0, 2 * index, 2 * (index + count));
    this.live -= count;
  }

  /** Makes it empty. Where `isFilled` all items will be stored next, and are left as they are. */
  reset(isFilled: boolean): void {
    if (this.live > 0 && !isFilled) this.words.fill(0);
    this.live = 0;
  }
}

/** What the numbers of entries with these attributes differ by, for each granule that their addresses do. */
export function stepOf(attributes: number): number {
  return STEPS[attributes >>> 28]!;
}

const STEPS = Float64Array.from({ length: 8 }, (_, bits) => {
  const table = new Table(0);
  return table.put(0, 1 << 12, bits << 28) - table.put(0, 0, bits << 28);
});

/**
 * The memory that the tables of a machine lie in. A table that is given back is
 * kept for the next use, because an array is dearer to make than to clear.
 */
export class TableMemory {
  /** Tables by the number of their page; that begins with 1. */
  readonly #tables: Table[] = [];
  readonly #spare: Table[] = [];

  /** Tables in use. */
  get used(): number {
    return this.#tables.length - this.#spare.length;
  }

  /** An empty table; see {@link Table.reset}. */
  alloc(isFilled = false): Table {
    const spare = this.#spare.pop();
    if (spare !== undefined) {
      spare.reset(isFilled);
      return spare;
    }
    const table = new Table(this.#tables.length + 1);
    this.#tables.push(table);
    return table;
  }

  /** Takes a table back, whatever its items are. */
  free(table: Table): void {
    this.#spare.push(table);
  }

  /** The table in a page. */
  at(page: number): Table {
    return this.#tables[page - 1]!;
  }
}
