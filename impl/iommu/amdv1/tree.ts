// SPDX-License-Identifier: GPL-2.0-only

/**
 * The tables of a page table: finding them, making them, giving them back.
 * IOVA and memory are counted in granules.
 *
 * @module
 */

import { EADDRINUSE } from "../../uapi/errno.ts";
import {
  addressOf,
  indexOf,
  isTable,
  itemSize,
  orderOf,
  sizeOf,
  TABLE_ITEMS,
  tableHigh,
  tableLow,
} from "./entry.ts";
import { countItems } from "./items.ts";
import type { Table, TableMemory } from "./table.ts";

const NOT_EMPTY = EADDRINUSE.because("something is mapped there");

/** A tree of tables, the top one always there. */
export class TableTree {
  /** The table that all others are below. */
  readonly top: Table;
  /** Its level. */
  readonly topLevel: number;
  /** The level of the table that {@link find} found last. */
  level = 0;
  readonly #memory: TableMemory;
  /** Granules of the page that a table lies in. */
  readonly #pageGranules: number;
  #count = 1;
  /** The table of the lowest level that was used last: the next call often needs it, too. */
  #lastTable: Table | undefined;
  /** The granule of IOVA that its item 0 maps. */
  #lastStart = 0;

  /** A tree of one table. */
  constructor(memory: TableMemory, levels: number, pageGranules: number) {
    this.#memory = memory;
    this.#pageGranules = pageGranules;
    this.top = memory.alloc();
    this.topLevel = levels - 1;
  }

  /** Tables, with the top one. */
  get count(): number {
    return this.#count;
  }

  /** The table that an item of `table` points to. */
  lower(table: Table, index: number): Table {
    const frame = addressOf(table.low(index), table.high(index));
    return this.#memory.at(frame / this.#pageGranules);
  }

  /** The table with the item that maps a granule of IOVA; undefined if none does. Its level is {@link level} then. */
  find(at: number): Table | undefined {
    const last = this.#last(at);
    if (last !== undefined) {
      this.level = 0;
      return last.low(indexOf(at, 0)) === 0 ? undefined : last;
    }
    let table = this.top;
    let level = this.topLevel;
    for (;; level--) {
      const index = indexOf(at, level);
      const low = table.low(index);
      if (low === 0) return undefined;
      if (!isTable(low)) break;
      table = this.lower(table, index);
    }
    this.level = level;
    if (level === 0) this.#remember(at, table);
    return table;
  }

  /** The table of the lowest level for a granule of IOVA, if it is the one that was used last. */
  #last(at: number): Table | undefined {
    return at - indexOf(at, 0) === this.#lastStart
      ? this.#lastTable
      : undefined;
  }

  #remember(at: number, table: Table): void {
    this.#lastTable = table;
    this.#lastStart = at - indexOf(at, 0);
  }

  /**
   * The table of a level for a granule of IOVA; makes those that are missing.
   * Throws EADDRINUSE where a larger entry is. `isFilled` if all its items are
   * stored next, as long as there are none.
   */
  tableFor(at: number, level: number, isFilled: boolean): Table {
    const last = level === 0 ? this.#last(at) : undefined;
    if (last !== undefined) return last;
    let table = this.top;
    for (let above = this.topLevel; above > level; above--) {
      const index = indexOf(at, above);
      const low = table.low(index);
      if (low === 0) {
        const lower = this.#memory.alloc(isFilled && above - 1 === level);
        const frame = lower.page * this.#pageGranules;
        table.put(index, tableLow(frame, above), tableHigh(frame));
        table.live++;
        this.#count++;
        table = lower;
      } else {
        if (!isTable(low)) throw NOT_EMPTY;
        table = this.lower(table, index);
      }
    }
    if (level === 0) this.#remember(at, table);
    return table;
  }

  /** Frees tables that map nothing in the way of an entry. Throws EADDRINUSE if something is mapped. (Linux: clear_contig.) */
  vacate(table: Table, level: number, index: number, count: number): void {
    if (table.live === 0) return;
    for (let i = index; i < index + count; i++) {
      const low = table.low(i);
      if (low === 0) continue;
      if (!isTable(low)) throw NOT_EMPTY;
      const lower = this.lower(table, i);
      this.vacate(lower, level - 1, 0, TABLE_ITEMS);
      this.#drop(table, i, lower);
    }
  }

  /**
   * Unmaps whole entries from granule `first` on, until `end` or more, and
   * drops tables that this covers; returns where it ended: before a hole, or
   * an entry that begins before `first`. (Linux: __unmap_range.)
   */
  unmap(first: number, end: number): number {
    const last = this.#last(first);
    // A part of that table: it stays.
    return last !== undefined && end < this.#lastStart + TABLE_ITEMS
      ? this.#unmap(last, 0, first, end)
      : this.#unmap(this.top, this.topLevel, first, end);
  }

  #unmap(table: Table, level: number, first: number, end: number): number {
    const size = itemSize(level);
    let at = first;
    let index = indexOf(at, level);
    while (at < end && index < TABLE_ITEMS) {
      const low = table.low(index);
      if (low === 0) return at;
      if (!isTable(low)) {
        const order = orderOf(low, table.high(index), level);
        if (at % sizeOf(order) !== 0) return at;
        const last = Math.min(index + (end - at) / size, TABLE_ITEMS);
        const items = countItems(table, level, index, last);
        table.clear(index, items);
        at += items * size;
        index += items;
        continue;
      }
      const next = (Math.floor(at / size) + 1) * size;
      const lower = this.lower(table, index);
      const wanted = Math.min(end, next);
      const isWhole = at === next - size && wanted === next;
      // Of a full table of the lowest level nothing need be looked at.
      const isFull = isWhole && level === 1 && lower.live === TABLE_ITEMS;
      const stop = isFull ? next : this.#unmap(lower, level - 1, at, wanted);
      if (stop < wanted) return stop;
      if (isWhole) this.#drop(table, index, lower);
      at = stop;
      index++;
    }
    return at;
  }

  /** Gives all tables back. */
  free(): void {
    this.#freeBelow(this.top, this.topLevel);
    this.#memory.free(this.top);
  }

  #freeBelow(table: Table, level: number): void {
    if (level === 0) return;
    for (let i = 0, left = table.live; left > 0; i++) {
      const low = table.low(i);
      if (low === 0) continue;
      left--;
      if (!isTable(low)) continue;
      const lower = this.lower(table, i);
      this.#freeBelow(lower, level - 1);
      this.#memory.free(lower);
    }
  }

  /** Drops a table that an item points to. */
  #drop(table: Table, index: number, lower: Table): void {
    if (lower === this.#lastTable) this.#lastTable = undefined;
    table.put(index, 0, 0);
    table.live--;
    this.#memory.free(lower);
    this.#count--;
  }
}
