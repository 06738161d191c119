// SPDX-License-Identifier: GPL-2.0-only

/**
 * Spans of addresses that never overlap, and the holes between them: a treap
 * in which each node knows the longest hole of its subtree, as Linux's maple
 * tree does, so that a place for a new mapping is found without a walk.
 *
 * @module
 */

/** Addresses from `start` up to `end` exclusive. They must not change while the span is in a tree. */
export interface Span {
  /** First address. */
  readonly start: number;
  /** Address after the last one. */
  readonly end: number;
}

/** A span with the spans below it in the tree. */
interface Node<S extends Span> {
  readonly span: S;
  /** No node below has a higher one; drawn at random, which balances the tree. */
  readonly priority: number;
  left: Node<S> | null;
  right: Node<S> | null;
  /** First address of the subtree. */
  start: number;
  /** Address after the last one of the subtree. */
  end: number;
  /** The longest hole between two spans of the subtree. */
  hole: number;
}

/** The tree. Everything but {@link Symbol.iterator} takes O(log n), and O(log n) more for each span that it returns. */
export class SpanTree<S extends Span> {
  #root: Node<S> | null = null;
  #size = 0;
  #random = 1;

  /** Number of spans. */
  get size(): number {
    return this.#size;
  }

  /** All spans, by address. */
  *[Symbol.iterator](): Generator<S, void, undefined> {
    let span = this.after(-Infinity);
    for (; span !== undefined; span = this.after(span.end)) yield span;
  }

  /** The first span that ends after `address` (Linux: find_vma). */
  after(address: number): S | undefined {
    let found: S | undefined;
    let node = this.#root;
    while (node !== null) {
      if (node.span.end > address) {
        found = node.span;
        node = node.left;
      } else {
        node = node.right;
      }
    }
    return found;
  }

  /** Adds a span where there is none. */
  insert(span: S): void {
    this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
    const node = {
      span,
      priority: this.#random,
      left: null,
      right: null,
      start: span.start,
      end: span.end,
      hole: 0,
    };
    const [before, behind] = split(this.#root, span.start);
    this.#root = merge(merge(before, node), behind);
    this.#size++;
  }

  /** Takes a span out. */
  remove(span: S): void {
    const [before, rest] = split(this.#root, span.start);
    const [, behind] = split(rest, span.end);
    this.#root = merge(before, behind);
    this.#size--;
  }

  /** The highest (or the lowest) hole in [low, high) with at least `length` bytes there; undefined if there is none. */
  hole(
    low: number,
    high: number,
    length: number,
    highest: boolean,
  ): Span | undefined {
    return findHole(this.#root, low, high, length, highest);
  }
}

/** The spans of a tree that start before `at`, and the others. */
function split<S extends Span>(
  node: Node<S> | null,
  at: number,
): [Node<S> | null, Node<S> | null] {
  if (node === null) return [null, null];
  if (node.span.start < at) {
    const [before, behind] = split(node.right, at);
    node.right = before;
    return [update(node), behind];
  }
  const [before, behind] = split(node.left, at);
  node.left = behind;
  return [before, update(node)];
}

/** One tree of two, the first of which lies before the second. */
function merge<S extends Span>(
  before: Node<S> | null,
  behind: Node<S> | null,
): Node<S> | null {
  if (before === null) return behind;
  if (behind === null) return before;
  if (before.priority > behind.priority) {
    before.right = merge(before.right, behind);
    return update(before);
  }
  behind.left = merge(before, behind.left);
  return update(behind);
}

/** Derives what a node knows about its subtree. */
function update<S extends Span>(node: Node<S>): Node<S> {
  const { span, left, right } = node;
  node.start = left?.start ?? span.start;
  node.end = right?.end ?? span.end;
  node.hole = Math.max(
    left === null ? 0 : Math.max(left.hole, span.start - left.end),
    right === null ? 0 : Math.max(right.hole, right.start - span.end),
  );
  return node;
}

/** As `SpanTree.hole`, in a subtree whose neighbours leave it [low, high). */
function findHole<S extends Span>(
  node: Node<S> | null,
  low: number,
  high: number,
  length: number,
  highest: boolean,
): Span | undefined {
  if (high - low < length) return undefined;
  if (node === null) return { start: low, end: high };
  const longest = Math.max(node.hole, node.start - low, high - node.end);
  if (longest < length) return undefined;
  const { start, end } = node.span;
  const inLeft = () =>
    findHole(node.left, low, Math.min(high, start), length, highest);
  const inRight = () =>
    findHole(node.right, Math.max(low, end), high, length, highest);
  return highest ? inRight() ?? inLeft() : inLeft() ?? inRight();
}
