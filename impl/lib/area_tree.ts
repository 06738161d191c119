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
import {
  type IntervalNode,
  IntervalTree,
  nodeAfter,
  nodeBefore,
} from "./interval_tree.ts";
import { U64_MAX } from "./u64.ts";

/** A tree of up to so many areas is walked; it needs no columns. */
const WALK_SIZE = 8;

/**
 * Holes that a search takes from the column of plain lengths and that are
 * then unsuitable, before it wants a column for its own alignment.
 */
const PATIENCE = 8;

/** Columns that a tree keeps at most. */
const MAX_COLUMNS = 5;

/** Intervals of 64-bit addresses that never overlap, by address. */
export class AreaTree<N extends IntervalNode<bigint>>
  extends IntervalTree<bigint, N> {
  /** Slots below this one were given out. */
  #slots = 0;
  /** Slots that were given back. */
  #freeSlots: number[] = [];
  readonly #columns: FitColumn[] = [];
  /** Counts the changes of the tree and the questions to its columns. */
  #clock = 0;

  /** Number of areas in the tree. */
  get size(): number {
    return this.#slots - this.#freeSlots.length;
  }

  /** Adds an area. One that overlaps another is a bug. */
  override insert(node: N): void {
    if (node.inTree) throw new KernelBug("Cannot insert a node twice");
    node.treeSlot = this.#freeSlots.pop() ?? this.#slots++;
    for (const column of this.#columns) column.reserve(node.treeSlot);
    super.insert(node);
    const prior = nodeBefore(node);
    const following = nodeAfter(node);
    if (
      prior !== null && prior.last >= node.start ||
      following !== null && following.start <= node.last
    ) {
      super.remove(node);
      this.#freeSlots.push(node.treeSlot);
      throw new KernelBug("Cannot insert an area over another");
    }
    if (this.#columns.length === 0) return;
    for (const column of this.#columns) {
      column.measure(node, following);
      if (prior !== null) column.measure(prior, node);
    }
    this.refresh(node);
    this.refresh(prior);
    this.#retireColumns();
  }

  /** Takes an area out of the tree. */
  override remove(node: N): void {
    if (this.#columns.length === 0) {
      super.remove(node);
    } else {
      const prior = node.inTree ? nodeBefore(node) : null;
      const following = nodeAfter(node);
      super.remove(node);
      if (prior !== null) {
        for (const column of this.#columns) column.measure(prior, following);
        this.refresh(prior);
      }
      this.#retireColumns();
    }
    this.#freeSlots.push(node.treeSlot);
    if (this.isEmpty) {
      this.#slots = 0;
      this.#freeSlots = [];
    }
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
    const start = this.first(first, U64_MAX);
    if (start === undefined || first < start.start) {
      const end = start === undefined ? last : min(start.start - 1n, last);
      const found = placeIn(first, end, length, alignment, pageOffset);
      if (found !== undefined || start === undefined) return found;
    }
    const need = FitColumn.need(length);
    let column = this.size > WALK_SIZE ? this.#column(1n, 0n) : undefined;
    let misses = 0;
    let cur = start;
    for (;;) {
      if (column !== undefined) cur = column.find(cur, need);
      if (cur.last >= last) return undefined;
      const following = nodeAfter(cur);
      const end = following === null ? last : min(following.start - 1n, last);
      const found = placeIn(cur.last + 1n, end, length, alignment, pageOffset);
      if (found !== undefined || following === null) return found;
      cur = following;
      if (++misses === PATIENCE && column !== undefined) {
        column = this.#column(alignment, pageOffset);
      }
    }
  }

  /** Derives what a node knows about its subtree, in the columns too. */
  protected override recompute(node: N): boolean {
    let changed = super.recompute(node);
    const columns = this.#columns;
    for (let i = 0; i < columns.length; i++) {
      if (columns[i]!.recompute(node)) changed = true;
    }
    return changed;
  }

  /** The column for an alignment and offset, built if need be. */
  #column(alignment: bigint, pageOffset: bigint): FitColumn {
    const columns = this.#columns;
    let column = columns.find((c) =>
      c.alignment === alignment && c.pageOffset === pageOffset
    );
    if (column === undefined) {
      if (columns.length === MAX_COLUMNS) columns.splice(this.#stalest(), 1);
      column = new FitColumn(this.root, this.#slots, alignment, pageOffset);
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
  #retireColumns(): void {
    this.#clock++;
    const index = this.#stalest();
    const idle = this.#clock - this.#columns[index]!.asked;
    if (idle > this.size + WALK_SIZE) this.#columns.splice(index, 1);
  }
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
