// SPDX-License-Identifier: GPL-2.0-only

/**
 * Spans of one interval tree, or of two at once: what the intervals cover, and
 * the holes.
 *
 * @module
 */

import type { IntervalNode, IntervalTree } from "./interval_tree.ts";
import { after, before, isBefore, isSame, type Key } from "./key.ts";

/**
 * Tiles a range with spans that are in turn a hole and used, each as long as
 * can be: intervals that overlap or touch make one used span. It stands on
 * the first span when created (Linux: struct interval_tree_span_iter). The
 * tree must not change while the iterator is in use.
 *
 * ```ts
 * for (const span = new SpanIterator(tree, 0, 99); !span.done; span.next()) {
 *   if (span.isHole) fill(span.start, span.last);
 * }
 * ```
 */
export class SpanIterator<K extends Key> {
  /** Whether no interval touches this span; else intervals cover all of it. */
  isHole = true;
  /** First position of the span. */
  start: K;
  /** Last position of the span, inclusive. */
  last: K;
  /** Whether the range is used up. The other members then mean nothing. */
  done = false;

  readonly #tree: IntervalTree<K, IntervalNode<K>>;
  /** Last position of the range to tile. */
  readonly #limit: K;
  /** The node that starts the next used span. */
  #upcoming: IntervalNode<K> | undefined = undefined;

  /** Tiles [first, last] by `tree`; `first` is not after `last` (Linux: interval_tree_span_iter_first). */
  constructor(tree: IntervalTree<K, IntervalNode<K>>, first: K, last: K) {
    this.#tree = tree;
    this.#limit = last;
    this.start = first;
    this.last = last;
    if (!tree.isEmpty) this.#seek(first);
  }

  /** Goes to the next span (Linux: interval_tree_span_iter_next). */
  next(): void {
    if (!isBefore(this.last, this.#limit)) {
      this.done = true;
      return;
    }
    const start = after(this.last);
    if (this.isHole) this.#use(start, this.#upcoming!);
    else this.#leaveHole(start, this.#upcoming);
  }

  /**
   * Goes to the span that holds `newIndex`, cut to start there; the iteration
   * is done if that lies behind the range (Linux:
   * interval_tree_span_iter_advance).
   */
  advance(newIndex: K): void {
    if (this.done) return;
    if (isBefore(this.#limit, newIndex)) {
      this.done = true;
    } else if (isBefore(newIndex, this.start)) {
      this.#seek(newIndex);
    } else if (!isBefore(this.last, newIndex)) {
      this.start = newIndex;
    } else if (isSame(newIndex, after(this.last))) {
      this.next();
    } else {
      this.#seek(newIndex);
    }
  }

  #seek(first: K): void {
    const node = this.#tree.first(first, this.#limit);
    if (node === undefined || isBefore(first, node.start)) {
      this.#leaveHole(first, node);
    } else {
      this.#use(first, node);
    }
  }

  /** The hole from `start` up to `upcoming`, or to the end of the range. */
  #leaveHole(start: K, upcoming: IntervalNode<K> | undefined): void {
    this.isHole = true;
    this.start = start;
    this.last = upcoming === undefined ? this.#limit : before(upcoming.start);
    this.#upcoming = upcoming;
  }

  /** The used span from `start` on, which `node` covers, up to the next gap. */
  #use(start: K, node: IntervalNode<K>): void {
    const limit = this.#limit;
    let end = node.last;
    let cur: IntervalNode<K> | undefined = node;
    // Of the nodes behind `cur` only those count that reach beyond the end.
    while (cur !== undefined && isBefore(end, limit)) {
      cur = this.#tree.next(cur, after(end), limit);
      if (cur === undefined || isBefore(after(end), cur.start)) break;
      end = cur.last;
    }
    this.isHole = false;
    this.start = start;
    this.last = isBefore(limit, end) ? limit : end;
    this.#upcoming = cur;
  }
}

/**
 * Tiles a range with spans that the first tree uses, that only the second one
 * uses, or that neither uses. Each is as long as can be: the same kind never
 * comes twice in a row (Linux: struct interval_tree_double_span_iter).
 */
export class DoubleSpanIterator<K extends Key> {
  /** 0: a hole in both; 1: used in the first tree; 2: used in the second only; -1: done. */
  isUsed: -1 | 0 | 1 | 2 = -1;
  /** First position of the span. */
  start: K;
  /** Last position of the span, inclusive. */
  last: K;

  #limit: K;
  #span1: SpanIterator<K> | undefined;
  #span2: SpanIterator<K> | undefined;

  /**
   * Tiles [first, last] by two trees; `first` is not after `last` (Linux:
   * interval_tree_double_span_iter_first).
   */
  constructor(
    tree1: IntervalTree<K, IntervalNode<K>>,
    tree2: IntervalTree<K, IntervalNode<K>>,
    first: K,
    last: K,
  ) {
    this.start = first;
    this.last = last;
    this.#limit = last;
    this.restart(tree1, tree2, first, last);
  }

  /** Tiles another range, by other trees. */
  restart(
    tree1: IntervalTree<K, IntervalNode<K>>,
    tree2: IntervalTree<K, IntervalNode<K>>,
    first: K,
    last: K,
  ): void {
    this.start = first;
    this.#limit = last;
    // An empty tree is a hole, for which nothing needs to be looked up.
    this.#span1 = tree1.isEmpty
      ? undefined
      : new SpanIterator(tree1, first, last);
    this.#span2 = tree2.isEmpty
      ? undefined
      : new SpanIterator(tree2, first, last);
    this.#update();
  }

  /** Whether the range is used up. The other members then mean nothing. */
  get done(): boolean {
    return this.isUsed === -1;
  }

  /** Goes to the next span (Linux: interval_tree_double_span_iter_next). */
  next(): void {
    if (this.done || !isBefore(this.last, this.#limit)) {
      this.isUsed = -1;
      return;
    }
    this.start = after(this.last);
    this.#span1?.advance(this.start);
    this.#span2?.advance(this.start);
    this.#update();
  }

  /** Combines the two spans, which start at the same position (Linux: interval_tree_double_span_iter_update). */
  #update(): void {
    const span1 = this.#span1;
    const span2 = this.#span2;
    this.last = this.#limit;
    if (span1 !== undefined) {
      this.last = span1.last;
      if (!span1.isHole) {
        this.isUsed = 1;
        return;
      }
    }
    this.isUsed = 0;
    if (span2 !== undefined) {
      if (!span2.isHole) this.isUsed = 2;
      if (isBefore(span2.last, this.last)) this.last = span2.last;
    }
  }
}
