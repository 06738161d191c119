// SPDX-License-Identifier: GPL-2.0-only

/**
 * Interval tree: intervals that may overlap, found by what they intersect.
 *
 * It answers to Linux's lib/interval_tree.c. The nodes are the caller's own
 * objects, linked into the tree, so that removing one needs no search. The
 * balance is AVL's; each node knows the largest last of its subtree, which is
 * what lets a search skip subtrees that end before the range it looks for.
 *
 * @module
 */

import { KernelBug } from "./kernel_bug.ts";
import { isBefore, isSame, type Key } from "./key.ts";

/**
 * An interval that can be in one {@link IntervalTree} at a time (Linux: struct
 * interval_tree_node). What belongs to the interval goes in a subclass.
 *
 * The `tree…` members belong to the tree.
 */
export class IntervalNode<K extends Key> {
  /** First position of the interval. It must not change while the node is in a tree. */
  start: K;
  /** Last position of the interval, inclusive. It must not change while the node is in a tree. */
  last: K;
  /** Subtree of the intervals before this one. */
  treeLeft: this | null = null;
  /** Subtree of the intervals after this one. */
  treeRight: this | null = null;
  /** The node whose subtree this is; null at the root and outside a tree. */
  treeParent: this | null = null;
  /** Nodes on the longest way down from here, this one included; 0 outside a tree. */
  treeHeight = 0;
  /** Largest last in this subtree (Linux: __subtree_last). */
  treeLast: K;

  /** The interval [start, last], in no tree. */
  constructor(start: K, last: K) {
    this.start = start;
    this.last = last;
    this.treeLast = last;
  }

  /** Whether the node is in a tree (Linux: !RB_EMPTY_NODE). */
  get inTree(): boolean {
    return this.treeHeight !== 0;
  }
}

/** Height of a subtree that may be empty. */
function heightOf<K extends Key>(node: IntervalNode<K> | null): number {
  return node === null ? 0 : node.treeHeight;
}

/** The node that follows `node` in the order of the tree (Linux: rb_next). */
function nodeAfter<N extends IntervalNode<Key>>(node: N): N | null {
  let cur = node.treeRight;
  if (cur !== null) {
    while (cur.treeLeft !== null) cur = cur.treeLeft;
    return cur;
  }
  let child = node;
  for (cur = node.treeParent; cur !== null; cur = cur.treeParent) {
    if (cur.treeLeft === child) return cur;
    child = cur;
  }
  return null;
}

/**
 * The intervals, ordered by start, then by last, then by their insertion. All
 * methods but the iterator take O(log n).
 */
export class IntervalTree<K extends Key, N extends IntervalNode<K>> {
  #root: N | null = null;

  /** Whether no interval is in the tree (Linux: RB_EMPTY_ROOT). */
  get isEmpty(): boolean {
    return this.#root === null;
  }

  /** The root of the tree. */
  protected get root(): N | null {
    return this.#root;
  }

  /** Adds an interval (Linux: interval_tree_insert). */
  insert(node: N): void {
    if (node.inTree) throw new KernelBug("Cannot insert a node twice");
    let parent: N | null = null;
    let left = false;
    let cur = this.#root;
    while (cur !== null) {
      parent = cur;
      left = isOrdered(node.start, node.last, cur);
      cur = left ? cur.treeLeft : cur.treeRight;
    }
    node.treeParent = parent;
    node.treeHeight = 1;
    node.treeLast = node.last;
    if (parent === null) this.#root = node;
    else if (left) parent.treeLeft = node;
    else parent.treeRight = node;
    this.#refresh(parent);
  }

  /** Takes an interval out of this tree, after which it can be inserted again (Linux: interval_tree_remove). */
  remove(node: N): void {
    if (!node.inTree) throw new KernelBug("Cannot remove a node twice");
    const { treeLeft: left, treeRight: right, treeParent: parent } = node;
    if (left === null || right === null) {
      this.#replace(node, left ?? right);
      this.#refresh(parent);
    } else {
      this.#removeInner(node, left, right);
    }
    node.treeLeft = null;
    node.treeRight = null;
    node.treeParent = null;
    node.treeHeight = 0;
    node.treeLast = node.last;
  }

  /** An interval with exactly these ends. */
  find(start: K, last: K): N | undefined {
    let cur = this.#root;
    while (cur !== null) {
      if (isSame(start, cur.start) && isSame(last, cur.last)) return cur;
      cur = isOrdered(start, last, cur) ? cur.treeLeft : cur.treeRight;
    }
    return undefined;
  }

  /**
   * The interval with the lowest start among those that intersect
   * [start, last] (Linux: interval_tree_iter_first).
   */
  first(start: K, last: K): N | undefined {
    const root = this.#root;
    if (root === null || isBefore(root.treeLast, start)) return undefined;
    return firstIn(root, start, last);
  }

  /**
   * The interval after `node` among those that intersect [start, last]
   * (Linux: interval_tree_iter_next).
   */
  next(node: N, start: K, last: K): N | undefined {
    let cur = node;
    for (;;) {
      const right = cur.treeRight;
      if (right !== null && !isBefore(right.treeLast, start)) {
        return firstIn(right, start, last);
      }
      let child: N;
      do {
        child = cur;
        const parent = cur.treeParent;
        if (parent === null) return undefined;
        cur = parent;
      } while (cur.treeRight === child);
      if (isBefore(last, cur.start)) return undefined;
      if (!isBefore(cur.last, start)) return cur;
    }
  }

  /** All intervals by start. The one just yielded may be removed from the tree. */
  *[Symbol.iterator](): Generator<N, void, undefined> {
    let cur = this.#root;
    while (cur !== null && cur.treeLeft !== null) cur = cur.treeLeft;
    while (cur !== null) {
      const following: N | null = nodeAfter(cur);
      yield cur;
      cur = following;
    }
  }

  /**
   * Makes the nodes from `from` upwards agree with their children again:
   * balance, heights and the largest last. It ends when nothing changes any
   * more, but not before `through` was done.
   */
  #refresh(from: N | null, through: N | null = from): void {
    let passed = false;
    let cur = from;
    while (cur !== null) {
      const parent: N | null = cur.treeParent;
      const changed = this.#balance(cur);
      passed ||= cur === through;
      if (passed && !changed) return;
      cur = parent;
    }
  }

  /** Derives what `node` knows about its subtree; returns whether that changed. */
  #recompute(node: N): boolean {
    const { treeLeft: left, treeRight: right } = node;
    const height = 1 + Math.max(heightOf(left), heightOf(right));
    let last = node.last;
    if (left !== null && isBefore(last, left.treeLast)) last = left.treeLast;
    if (right !== null && isBefore(last, right.treeLast)) last = right.treeLast;
    if (height === node.treeHeight && isSame(last, node.treeLast)) return false;
    node.treeHeight = height;
    node.treeLast = last;
    return true;
  }

  /** Takes out a node with two children: its successor takes its place. */
  #removeInner(node: N, left: N, right: N): void {
    let heir = right;
    while (heir.treeLeft !== null) heir = heir.treeLeft;
    let from = heir;
    if (heir !== right) {
      from = heir.treeParent!;
      this.#replace(heir, heir.treeRight);
      heir.treeRight = right;
      right.treeParent = heir;
    }
    heir.treeLeft = left;
    left.treeParent = heir;
    this.#replace(node, heir);
    // What its new parent knows is about `node`: the heir must count as changed.
    heir.treeHeight = 0;
    this.#refresh(from, heir);
  }

  /** Puts `substitute` where `node` hangs in the tree. */
  #replace(node: N, substitute: N | null): void {
    const parent = node.treeParent;
    if (parent === null) this.#root = substitute;
    else if (parent.treeLeft === node) parent.treeLeft = substitute;
    else parent.treeRight = substitute;
    if (substitute !== null) substitute.treeParent = parent;
  }

  /** Balances the subtree at `node`, whose children are in order; returns whether anything changed. */
  #balance(node: N): boolean {
    const { treeLeft: left, treeRight: right } = node;
    const lean = heightOf(left) - heightOf(right);
    if (lean > 1) {
      if (heightOf(left!.treeLeft) < heightOf(left!.treeRight)) {
        this.#rotateLeft(left!);
      }
      this.#rotateRight(node);
      return true;
    }
    if (lean < -1) {
      if (heightOf(right!.treeRight) < heightOf(right!.treeLeft)) {
        this.#rotateRight(right!);
      }
      this.#rotateLeft(node);
      return true;
    }
    return this.#recompute(node);
  }

  #rotateLeft(node: N): void {
    const top = node.treeRight!;
    const middle = top.treeLeft;
    this.#replace(node, top);
    node.treeRight = middle;
    if (middle !== null) middle.treeParent = node;
    top.treeLeft = node;
    node.treeParent = top;
    this.#recompute(node);
    this.#recompute(top);
  }

  #rotateRight(node: N): void {
    const top = node.treeLeft!;
    const middle = top.treeRight;
    this.#replace(node, top);
    node.treeLeft = middle;
    if (middle !== null) middle.treeParent = node;
    top.treeRight = node;
    node.treeParent = top;
    this.#recompute(node);
    this.#recompute(top);
  }
}

/** Whether the interval [start, last] comes before `node` in the order of the tree. */
function isOrdered<K extends Key>(
  start: K,
  last: K,
  node: IntervalNode<K>,
): boolean {
  return isSame(start, node.start)
    ? isBefore(last, node.last)
    : isBefore(start, node.start);
}

/** The first node of a subtree, which ends at or after `start`, that intersects [start, last]. */
function firstIn<K extends Key, N extends IntervalNode<K>>(
  root: N,
  start: K,
  last: K,
): N | undefined {
  let cur = root;
  for (;;) {
    // If anything on the left ends late enough, the answer is there, or there
    // is none: what follows starts later still.
    const left = cur.treeLeft;
    if (left !== null && !isBefore(left.treeLast, start)) {
      cur = left;
      continue;
    }
    if (isBefore(last, cur.start)) return undefined;
    if (!isBefore(cur.last, start)) return cur;
    const right = cur.treeRight;
    if (right === null || isBefore(right.treeLast, start)) return undefined;
    cur = right;
  }
}
