// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tables, and the memory that they lie in.
 *
 * @module
 */

import { KernelBug } from "../../lib/kernel_bug.ts";
import { TABLE_ITEMS } from "./entry.ts";

/** One table of 512 items, which is a page of memory: item n is the words 2n and 2n+1. */
export class Table {
  /** The number of its page. */
  readonly page: number;
  /** The memory: two words for each item. */
  readonly words: Int32Array = new Int32Array(2 * TABLE_ITEMS);
  /**
   * The same memory, a number for each item: see items.ts. 64 bits that are
   * neither infinite nor NaN, since those from 52 to 59 are 0.
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

  /** Stores an item, which will be overwritten, and returns it as a number. */
  compose(index: number, low: number, high: number): number {
    this.words[2 * index] = low;
    this.words[2 * index + 1] = high;
    return this.values[index]!;
  }

  /** Stores the same in `count` items from `index` on, all of them 0 so far. */
  store(index: number, count: number, low: number, high: number): void {
    const { words } = this;
    const end = 2 * (index + count);
    for (let at = 2 * index; at < end; at += 2) {
      words[at] = low;
      words[at + 1] = high;
    }
    this.live += count;
  }

  /** Makes `count` items from `index` on 0, none of which was. */
  clear(index: number, count: number): void {
    this.words.fill(0, 2 * index, 2 * (index + count));
    this.live -= count;
  }
}

/**
 * The pages that the tables of one page table lie in. A table that is given
 * back is kept for the next use, because an array is dearer to make than to
 * clear.
 */
export class TableMemory {
  /** Tables by the number of their page; that begins with 1. */
  readonly #tables: Table[] = [];
  readonly #spare: Table[] = [];

  /** Tables in use. */
  get used(): number {
    return this.#tables.length - this.#spare.length;
  }

  /** A table of zeros. */
  alloc(): Table {
    const spare = this.#spare.pop();
    if (spare !== undefined) return spare;
    const table = new Table(this.#tables.length + 1);
    this.#tables.push(table);
    return table;
  }

  /** Takes a table back, all of whose items are 0. */
  free(table: Table): void {
    if (table.live !== 0) throw new KernelBug("A table in use is freed");
    this.#spare.push(table);
  }

  /** The table in a page. */
  at(page: number): Table {
    return this.#tables[page - 1]!;
  }
}
