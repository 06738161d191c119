// SPDX-License-Identifier: GPL-2.0-only

/**
 * What fits in the holes of an area tree, for one alignment and page offset.
 *
 * @module
 */

import type { IntervalNode } from "./interval_tree.ts";
import { alignUp } from "./u64.ts";

/** A node of an area tree. */
export type Area = IntervalNode<bigint>;

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
 * For each node of an area tree: how long a range fits in the hole between it
 * and the next node, and the longest such fit in its subtree. The hole behind
 * the last node counts as {@link FIT_MAX}: it ends where the search ends,
 * which only the search knows.
 */
export class FitColumn {
  /** Alignment of the ranges in bytes, a power of two. */
  readonly alignment: bigint;
  /** Bits that the start of a range has within its page. */
  readonly pageOffset: bigint;
  /** When the column was last asked, by its tree's clock. */
  asked = 0;

  /** By slot of the node: at 2 * slot its own hole's fit, after it the subtree's longest. */
  #fits: Float64Array;

  /** The column of the tree at `root`, whose nodes have slots below `slots`. Takes O(n). */
  constructor(
    root: Area | null,
    slots: number,
    alignment: bigint,
    pageOffset: bigint,
  ) {
    this.alignment = alignment;
    this.pageOffset = pageOffset;
    this.#fits = new Float64Array(2 * slots);
    if (root !== null) this.#build(root, null);
  }

  /** The fit that a search for `length` bytes has to look for. */
  static need(length: bigint): number {
    return length < FIT_MAX ? Number(length) : FIT_MAX;
  }

  /** Makes room for the node of a slot. Its values mean nothing until it is measured. */
  reserve(slot: number): void {
    if (2 * slot < this.#fits.length) return;
    const fits = new Float64Array(4 * slot + 2);
    fits.set(this.#fits);
    this.#fits = fits;
  }

  /** Measures the hole between `node` and `following`, the next node if there is one. */
  measure(node: Area, following: Area | null): void {
    this.#fits[2 * node.treeSlot] = following === null
      ? FIT_MAX
      : this.#fit(node.last + 1n, following.start - 1n);
  }

  /** Derives the longest fit in the subtree of `node`; returns whether that changed. */
  recompute(node: Area): boolean {
    const fits = this.#fits;
    const { treeLeft: left, treeRight: right } = node;
    const at = 2 * node.treeSlot;
    let longest = fits[at]!;
    if (left !== null) {
      longest = Math.max(longest, fits[2 * left.treeSlot + 1]!);
    }
    if (right !== null) {
      longest = Math.max(longest, fits[2 * right.treeSlot + 1]!);
    }
    if (fits[at + 1] === longest) return false;
    fits[at + 1] = longest;
    return true;
  }

  /**
   * The first node at or behind `node` in the tree whose hole fits `need`
   * bytes; at worst that is the last node. Takes O(log n).
   */
  find<N extends Area>(node: N, need: number): N {
    let cur = node;
    for (;;) {
      if (this.#fits[2 * cur.treeSlot]! >= need) return cur;
      const right = cur.treeRight;
      if (right !== null && this.#longest(right) >= need) {
        return this.#findIn(right, need);
      }
      let child: N;
      do {
        child = cur;
        cur = cur.treeParent!;
      } while (cur.treeRight === child);
    }
  }

  /** The first node of a subtree, in which there is one, whose hole fits `need` bytes. */
  #findIn<N extends Area>(root: N, need: number): N {
    let cur = root;
    for (;;) {
      const left = cur.treeLeft;
      if (left !== null && this.#longest(left) >= need) cur = left;
      else if (this.#fits[2 * cur.treeSlot]! >= need) return cur;
      else cur = cur.treeRight!;
    }
  }

  #longest(node: Area): number {
    return this.#fits[2 * node.treeSlot + 1]!;
  }

  /** Measures a subtree from its end to its start; `following` is the node behind it. Returns its first node. */
  #build(node: Area, following: Area | null): Area {
    const { treeLeft: left, treeRight: right } = node;
    this.measure(
      node,
      right === null ? following : this.#build(right, following),
    );
    const first = left === null ? node : this.#build(left, node);
    this.recompute(node);
    return first;
  }

  #fit(first: bigint, last: bigint): number {
    const address = candidate(first, this.alignment, this.pageOffset);
    return address < last ? Math.min(Number(last - address + 1n), FIT_MAX) : 0;
  }
}
