// SPDX-License-Identifier: GPL-2.0-only

/**
 * Interval tree of areas, which never overlap, that also finds free space.
 *
 * Linux walks all holes from the lowest address on (iopt_alloc_iova). Here a
 * search takes O(log n): for the kinds of holes that were asked for lately the
 * tree keeps a {@link FitColumn}, which leads straight to the lowest hole that
 * is long enough.
 *
 * @module
 */

import { KernelBug } from "./kernel_bug.ts";
import { FitColumn, placeIn } from "./fit_column.ts";
import { RowTree } from "./row_tree.ts";

/** A tree of up to so many areas is walked; it needs no columns. */
const WALK_SIZE = 8;

/**
 * Holes that a search takes from the column of plain lengths and that are
 * then unsuitable, before it wants a column for its own alignment.
 */
const PATIENCE = 8;

/** Columns that a tree keeps at most. */
const MAX_COLUMNS = 5;

/** What can be in an {@link AreaTree}: the tree knows where it begins and ends, it knows its row. */
export interface AreaRow {
  /** Its row in the tree; outside of one it means nothing. */
  row: number;
}

/** Intervals of 64-bit addresses that never overlap, by address, and what they belong to. */
export class AreaTree<A extends AreaRow> extends RowTree {
  /** By row. */
  #areas: (A | undefined)[] = [];
  readonly #columns: FitColumn[] = [];
  /** Counts the changes of the tree and the questions to its columns. */
  #clock = 0;

  /** Adds an area from `start` to `last`. One that overlaps another is a bug. */
  insert(area: A, start: bigint, last: bigint): void {
    if (this.has(area)) throw new KernelBug("Cannot insert an area twice");
    for (const column of this.#columns) column.reserve(this.rowsEnd);
    const row = this.insertRow(start, last);
    area.row = row;
    this.#areas[row] = area;
    if (this.#columns.length === 0) return;
    this.#measure(row);
    this.#measure(this.rowBefore(row));
    this.#retireColumns(1);
  }

  /** Takes an area out of the tree. */
  remove(area: A): void {
    this.cut(area, area);
  }

  /** Takes out the areas from one to another; returns how many bytes they have together. */
  cut(first: A, last: A): bigint {
    if (!this.has(first)) throw new KernelBug("Cannot remove an area twice");
    const { size } = this;
    const prior = this.#columns.length > 0 ? this.rowBefore(first.row) : 0;
    const bytes = this.cutRows(first.row, last.row);
    if (this.isEmpty) this.#areas = [];
    if (this.#columns.length > 0) {
      this.#measure(prior);
      this.#retireColumns(size - this.size);
    }
    return bytes;
  }

  /** Whether an area is in the tree. */
  has(area: A): boolean {
    return this.#areas[area.row] === area;
  }

  /** The first of the areas that intersect [start, last]. */
  first(start: bigint, last: bigint): A | undefined {
    const row = this.firstRow(start);
    return row !== 0 && this.startOf(row) <= last
      ? this.#areas[row]
      : undefined;
  }

  /** The last of the areas that start at or before an address. */
  lastUpTo(address: bigint): A | undefined {
    return this.#areas[this.lastRow(address)];
  }

  /** The area after another. */
  after(area: A): A | undefined {
    return this.#areas[this.rowAfter(area.row)];
  }

  /** All areas by address. */
  [Symbol.iterator](): Iterator<A> {
    let row = this.firstRow(0n);
    return {
      next: () => {
        const value = this.#areas[row]!;
        const done = row === 0;
        if (!done) row = this.rowAfter(row);
        return { done, value };
      },
    };
  }

  /**
   * The lowest address at which `length` bytes of [first, last] are free, as
   * Linux would choose it if these areas alone were in the way
   * (iopt_alloc_iova); undefined if there is none.
   *
   * A hole [s, l] is clipped to the range; the address in it is `s` rounded up
   * to `alignment` (a power of two), or'ed with `pageOffset` (below 4096); it
   * is taken if `length` bytes (at least 1) from there on fit and at least one
   * byte follows the first.
   *
   * O(log n) for an alignment and offset that were asked for lately; the first
   * such question that the column of plain lengths cannot decide takes O(n).
   */
  firstFit(
    first: bigint,
    last: bigint,
    length: bigint,
    alignment: bigint,
    pageOffset: bigint,
  ): bigint | undefined {
    const start = this.firstRow(first);
    if (start === 0 || first < this.startOf(start)) {
      const end = start === 0 ? last : min(this.startOf(start) - 1n, last);
      const found = placeIn(first, end, length, alignment, pageOffset);
      if (found !== undefined || start === 0) return found;
    }
    const need = FitColumn.need(length);
    let column = this.size > WALK_SIZE ? this.#column(1n, 0n) : undefined;
    let misses = 0;
    let cur = start;
    for (;;) {
      if (column !== undefined) cur = column.find(cur, need);
      const hole = this.lastOf(cur) + 1n;
      if (hole > last) return undefined;
      const following = this.rowAfter(cur);
      const end = following === 0
        ? last
        : min(this.startOf(following) - 1n, last);
      const found = placeIn(hole, end, length, alignment, pageOffset);
      if (found !== undefined || following === 0) return found;
      cur = following;
      if (++misses === PATIENCE && column !== undefined) {
        column = this.#column(alignment, pageOffset);
      }
    }
  }

  /** Forgets the area of a row. */
  protected override freed(row: number): void {
    this.#areas[row] = undefined;
  }

  /** Lets the columns know. */
  protected override changed(row: number, through: number): void {
    const columns = this.#columns;
    if (columns.length === 0) return;
    let passed = false;
    for (let cur = row; cur !== 0; cur = this.parentOf(cur)) {
      let changed = false;
      for (const column of columns) {
        if (column.recompute(cur)) changed = true;
      }
      passed ||= cur === through;
      if (passed && !changed) return;
    }
  }

  /** Measures the hole behind a row, if it is one. */
  #measure(row: number): void {
    if (row === 0) return;
    const following = this.rowAfter(row);
    for (const column of this.#columns) column.measure(row, following);
    this.changed(row, row);
  }

  /** The column for an alignment and offset, built if need be. */
  #column(alignment: bigint, pageOffset: bigint): FitColumn {
    const columns = this.#columns;
    let column = columns.find((c) =>
      c.alignment === alignment && c.pageOffset === pageOffset
    );
    if (column === undefined) {
      if (columns.length === MAX_COLUMNS) columns.splice(this.#stalest(), 1);
      column = new FitColumn(this, this.root, { alignment, pageOffset });
      columns.push(column);
    }
    column.asked = ++this.#clock;
    return column;
  }

  /** Index of the column that was not asked for the longest time. */
  #stalest(): number {
    let index = 0;
    this.#columns.forEach((column, i) => {
      if (column.asked < this.#columns[index]!.asked) index = i;
    });
    return index;
  }

  /**
   * Drops a column that was not asked while the tree changed more often than
   * it has areas: by then its upkeep has cost as much as to build it anew.
   */
  #retireColumns(changes: number): void {
    this.#clock += changes;
    const index = this.#stalest();
    const idle = this.#clock - this.#columns[index]!.asked;
    if (idle > this.size + WALK_SIZE) this.#columns.splice(index, 1);
  }
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
