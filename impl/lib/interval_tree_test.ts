// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { KernelBug } from "./kernel_bug.ts";
import { IntervalNode, IntervalTree } from "./interval_tree.ts";
import type { Key } from "./key.ts";

/** A tree whose shape can be looked at. */
class OpenTree<K extends Key> extends IntervalTree<K, IntervalNode<K>> {
  get top(): IntervalNode<K> | null {
    return this.root;
  }
}

/** Checks links, balance and derived values of a subtree; returns its height. */
function checkShape<K extends Key>(
  node: IntervalNode<K> | null,
  parent: IntervalNode<K> | null,
): number {
  if (node === null) return 0;
  assert(node.treeParent === parent, "parent link");
  const left = checkShape(node.treeLeft, node);
  const right = checkShape(node.treeRight, node);
  assert(Math.abs(left - right) <= 1, "balance");
  assertEquals(node.treeHeight, 1 + Math.max(left, right));
  let last = node.last;
  for (const child of [node.treeLeft, node.treeRight]) {
    if (child !== null && child.treeLast > last) last = child.treeLast;
  }
  assertEquals(node.treeLast, last);
  return node.treeHeight;
}

function intersecting<K extends Key>(
  model: readonly IntervalNode<K>[],
  start: K,
  last: K,
): IntervalNode<K>[] {
  return model.filter((n) => n.start <= last && n.last >= start);
}

/** All nodes that the tree finds in a range, by first and next. */
function found<K extends Key>(
  tree: IntervalTree<K, IntervalNode<K>>,
  start: K,
  last: K,
): IntervalNode<K>[] {
  const nodes: IntervalNode<K>[] = [];
  let node = tree.first(start, last);
  for (; node !== undefined; node = tree.next(node, start, last)) {
    nodes.push(node);
  }
  return nodes;
}

function assertSameNodes<K extends Key>(
  actual: readonly IntervalNode<K>[],
  expected: readonly IntervalNode<K>[],
): void {
  assertEquals(actual.length, expected.length);
  actual.forEach((node, i) => assert(node === expected[i], `node ${i}`));
}

const UNIVERSE = 64;
const position = fc.nat(UNIVERSE - 1);
/** One step: insert an interval, or remove the nth one; then look into a range. */
const step = fc.record({
  remove: fc.boolean(),
  nth: fc.nat(),
  ends: fc.tuple(position, position),
  range: fc.tuple(position, position),
});

/** Plays random steps on a tree and on a sorted array. */
function compareWithArray<K extends Key>(key: (at: number) => K): void {
  const range = ([a, b]: [number, number]): [K, K] => [
    key(Math.min(a, b)),
    key(Math.max(a, b)),
  ];
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: "max" }), (steps) => {
      const tree = new OpenTree<K>();
      const model: IntervalNode<K>[] = [];
      for (const { remove, nth, ends, range: looked } of steps) {
        if (remove && model.length > 0) {
          tree.remove(model.splice(nth % model.length, 1)[0]!);
        } else {
          const node = new IntervalNode(...range(ends));
          tree.insert(node);
          const at = model.findIndex((n) =>
            n.start > node.start ||
            (n.start === node.start && n.last > node.last)
          );
          model.splice(at < 0 ? model.length : at, 0, node);
        }
        checkShape(tree.top, null);
        assertEquals([...tree].length, model.length);
        assertEquals(tree.isEmpty, model.length === 0);
        const [start, last] = range(looked);
        const exact = tree.find(start, last);
        assertEquals(
          exact !== undefined,
          model.some((n) => n.start === start && n.last === last),
        );
        if (exact) assertEquals([exact.start, exact.last], [start, last]);
        assertSameNodes(
          found(tree, start, last),
          intersecting(model, start, last),
        );
      }
      assertSameNodes([...tree], model);
    }),
    { seed: 1, numRuns: 200 },
  );
}

describe("IntervalTree", () => {
  it("finds what a sorted array finds, by page index", () => {
    compareWithArray((at) => at);
  });

  it("finds what a sorted array finds, up to IOVA 2^64-1", () => {
    const base = 2n ** 64n - BigInt(UNIVERSE);
    compareWithArray((at) => base + BigInt(at));
  });

  it("orders intervals of equal start by last, then by insertion", () => {
    const tree = new IntervalTree<number, IntervalNode<number>>();
    const nodes = [9, 3, 7, 3, 5].map((last) => new IntervalNode(2, last));
    for (const node of nodes) tree.insert(node);
    const inOrder = [1, 3, 4, 2, 0].map((i) => nodes[i]!);
    assertSameNodes(found(tree, 0, 100), inOrder);
    assertSameNodes(found(tree, 6, 100), inOrder.slice(3));
    assert(tree.find(2, 7) === nodes[2]);
    assertEquals(tree.find(2, 6), undefined);
  });

  it("stays balanced when filled in order", () => {
    const tree = new OpenTree<number>();
    for (let i = 0; i < 20000; i++) tree.insert(new IntervalNode(i, i));
    assert(checkShape(tree.top, null) <= 1.4405 * Math.log2(20002));
  });

  it("control: a wrong subtree value or link does not pass the shape check", () => {
    const tree = new OpenTree<number>();
    for (let i = 0; i < 7; i++) tree.insert(new IntervalNode(i, i));
    checkShape(tree.top, null);
    tree.top!.treeLast = 99;
    assertThrows(() => checkShape(tree.top, null));
    tree.top!.treeLast = 6;
    tree.top!.treeLeft!.treeParent = null;
    assertThrows(() => checkShape(tree.top, null));
  });

  it("lets go of a removed node, which can enter another tree", () => {
    const tree = new IntervalTree<number, IntervalNode<number>>();
    const nodes = [1, 2, 3, 4, 5].map((at) => new IntervalNode(at, at + 10));
    for (const node of nodes) tree.insert(node);
    for (const node of [nodes[1]!, nodes[3]!, nodes[0]!]) {
      assert(node.inTree);
      tree.remove(node);
      assert(!node.inTree);
      assertEquals(
        [node.treeLeft, node.treeRight, node.treeParent, node.treeLast],
        [null, null, null, node.last],
      );
    }
    const other = new IntervalTree<number, IntervalNode<number>>();
    other.insert(nodes[1]!);
    assertSameNodes([...other], [nodes[1]!]);
    assertSameNodes([...tree], [nodes[2]!, nodes[4]!]);
  });

  it("takes inserting or removing twice for a bug", () => {
    const tree = new IntervalTree<number, IntervalNode<number>>();
    const node = new IntervalNode(1, 2);
    assertThrows(() => tree.remove(node), KernelBug);
    tree.insert(node);
    assertThrows(() => tree.insert(node), KernelBug);
    tree.remove(node);
    assertThrows(() => tree.remove(node), KernelBug);
    assert(tree.isEmpty);
  });

  it("can be emptied while it is iterated over", () => {
    const tree = new IntervalTree<number, IntervalNode<number>>();
    for (let i = 0; i < 100; i++) tree.insert(new IntervalNode(i * 7 % 100, i));
    const starts: number[] = [];
    for (const node of tree) {
      starts.push(node.start);
      tree.remove(node);
    }
    assertEquals(starts, Array.from({ length: 100 }, (_, i) => i));
    assert(tree.isEmpty);
  });
});
