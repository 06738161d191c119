// SPDX-License-Identifier: GPL-2.0-only

/**
 * What fits in the holes of an area tree, for one alignment and page offset.
 *
 * @module
 */

import type { RowTree } from "./row_tree.ts";
import { alignUp } from "./u64.ts";

/** What a place is looked for. */
export interface Wish {
  /** Bytes, a power of two. */
  readonly alignment: bigint;
  /** Bits that the start has within its page. */
  readonly pageOffset: bigint;
}

/**
 * Fits are kept as exact numbers up to this one, and as this one above it. A
 * search may thus stop at a hole that is too short, but never pass by one
 * that is long enough; as few as 2^11 holes are that long.
 */
const FIT_MAX = 2 ** 53;

/**
 * The lowest address in [first, last] at which a range of `length` bytes may
 * start, or undefined if none fits (Linux: __alloc_iova_check_range).
 */
export function placeIn(
  first: bigint,
  last: bigint,
  length: bigint,
  alignment: bigint,
  pageOffset: bigint,
): bigint | undefined {
  const address = candidate(first, alignment, pageOffset);
  return address < last && last - address >= length - 1n ? address : undefined;
}

/** Where a range would start in a hole from `first` on; it may be beyond the hole or beyond 2^64-1. */
function candidate(
  first: bigint,
  alignment: bigint,
  pageOffset: bigint,
): bigint {
  return alignUp(first, alignment) | pageOffset;
}

/**
 * For each row of an area tree: how long a range fits in the hole between it
 * and the next one, and the longest such fit in its subtree. The hole behind
 * the last row counts as {@link FIT_MAX}: it ends where the search ends,
 * which only the search knows.
 */
export class FitColumn {
  /** Alignment of the ranges in bytes, a power of two. */
  readonly alignment: bigint;
  /** Bits that the start of a range has within its page. */
  readonly pageOffset: bigint;
  /** When the column was last asked, by its tree's clock. */
  asked = 0;

  readonly #tree: RowTree;
  /** At 2 * row its own hole's fit, after it the subtree's longest. */
  #fits: Float64Array;

  /** The column of a tree with that root. Takes O(n). */
  constructor(tree: RowTree, root: number, { alignment, pageOffset }: Wish) {
    this.#tree = tree;
    this.alignment = alignment;
    this.pageOffset = pageOffset;
    this.#fits = new Float64Array(2 * tree.rowsEnd);
    if (root !== 0) this.#build(root, 0);
  }

  /** The fit that a search for `length` bytes has to look for. */
  static need(length: bigint): number {
    return length < FIT_MAX ? Number(length) : FIT_MAX;
  }

  /** Makes room for a row. Its values mean nothing until it is measured. */
  reserve(row: number): void {
    if (2 * row < this.#fits.length) return;
    const fits = new Float64Array(4 * row + 2);
    fits.set(this.#fits);
    this.#fits = fits;
  }

  /** Measures the hole between a row and the following one, 0 if there is none. */
  measure(row: number, following: number): void {
    const tree = this.#tree;
    this.#fits[2 * row] = following === 0
      ? FIT_MAX
      : this.#fit(tree.lastOf(row) + 1n, tree.startOf(following) - 1n);
  }

  /** Derives the longest fit in the subtree of a row; returns whether that changed. */
  recompute(row: number): boolean {
    const fits = this.#fits;
    // Row 0, which is none, fits nothing.
    const longest = Math.max(
      fits[2 * row]!,
      fits[2 * this.#tree.leftOf(row) + 1]!,
      fits[2 * this.#tree.rightOf(row) + 1]!,
    );
    if (fits[2 * row + 1] === longest) return false;
    fits[2 * row + 1] = longest;
    return true;
  }

  /**
   * The first row at or behind one in the tree whose hole fits `need` bytes; at
   * worst that is the last row. Takes O(log n).
   */
  find(row: number, need: number): number {
    const tree = this.#tree;
    let cur = row;
    for (;;) {
      if (this.#fits[2 * cur]! >= need) return cur;
      const right = tree.rightOf(cur);
      if (this.#fits[2 * right + 1]! >= need) return this.#findIn(right, need);
      let child: number;
      do {
        child = cur;
        cur = tree.parentOf(cur);
      } while (tree.rightOf(cur) === child);
    }
  }

  /** The first row of a subtree, in which there is one, whose hole fits `need` bytes. */
  #findIn(root: number, need: number): number {
    const tree = this.#tree;
    let cur = root;
    for (;;) {
      const left = tree.leftOf(cur);
      if (this.#fits[2 * left + 1]! >= need) cur = left;
      else if (this.#fits[2 * cur]! >= need) return cur;
      else cur = tree.rightOf(cur);
    }
  }

  /** Measures a subtree from its end to its start; `following` is the row behind it. Returns its first row. */
  #build(row: number, following: number): number {
    const left = this.#tree.leftOf(row);
    const right = this.#tree.rightOf(row);
    this.measure(row, right === 0 ? following : this.#build(right, following));
    const first = left === 0 ? row : this.#build(left, row);
    this.recompute(row);
    return first;
  }

  #fit(first: bigint, last: bigint): number {
    const address = candidate(first, this.alignment, this.pageOffset);
    return address < last ? Math.min(Number(last - address + 1n), FIT_MAX) : 0;
  }
}
