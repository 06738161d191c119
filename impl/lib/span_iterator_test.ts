// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { IntervalNode, IntervalTree } from "./interval_tree.ts";
import type { Key } from "./key.ts";
import { DoubleSpanIterator, SpanIterator } from "./span_iterator.ts";

const UNIVERSE = 40;

/** A span by its offsets in the universe; `kind` is 0 for a hole. */
type Span = readonly [kind: number, start: number, last: number];
type Pair = readonly [number, number];
type Tree<K extends Key> = IntervalTree<K, IntervalNode<K>>;

/** Maps offsets in the universe to keys and back. */
interface Keys<K extends Key> {
  readonly at: (offset: number) => K;
  readonly offset: (key: K) => number;
}

const PAGES: Keys<number> = { at: (offset) => offset, offset: (key) => key };
const TOP = 2n ** 64n - BigInt(UNIVERSE);
const IOVAS: Keys<bigint> = {
  at: (offset) => TOP + BigInt(offset),
  offset: (key) => Number(key - TOP),
};

function treeOf<K extends Key>(
  keys: Keys<K>,
  intervals: readonly Pair[],
): Tree<K> {
  const tree: Tree<K> = new IntervalTree();
  for (const [start, last] of intervals) {
    tree.insert(new IntervalNode(keys.at(start), keys.at(last)));
  }
  return tree;
}

/** Tiles [first, last] position by position: the first tree that covers one gives its kind. */
function tile(trees: readonly Pair[][], first: number, last: number): Span[] {
  const spans: Span[] = [];
  for (let at = first; at <= last; at++) {
    const kind = 1 +
      trees.findIndex((tree) => tree.some(([a, b]) => a <= at && at <= b));
    const open = spans.at(-1);
    if (open?.[0] === kind) spans[spans.length - 1] = [kind, open[1], at];
    else spans.push([kind, at, at]);
  }
  return spans;
}

/** The spans that an iterator still has to give. */
function rest<K extends Key>(keys: Keys<K>, span: SpanIterator<K>): Span[] {
  const spans: Span[] = [];
  for (; !span.done; span.next()) {
    const kind = span.isHole ? 0 : 1;
    spans.push([kind, keys.offset(span.start), keys.offset(span.last)]);
  }
  return spans;
}

function allDouble<K extends Key>(
  keys: Keys<K>,
  tree1: Tree<K>,
  tree2: Tree<K>,
  [first, last]: Pair,
): Span[] {
  const spans: Span[] = [];
  const span = new DoubleSpanIterator(
    tree1,
    tree2,
    keys.at(first),
    keys.at(last),
  );
  for (; !span.done; span.next()) {
    spans.push([span.isUsed, keys.offset(span.start), keys.offset(span.last)]);
  }
  return spans;
}

const position = fc.nat(UNIVERSE - 1);
const pair = fc.tuple(position, position).map(([a, b]): Pair =>
  a < b ? [a, b] : [b, a]
);
const shortPair = fc.tuple(position, fc.nat(4)).map(([a, length]): Pair => [
  a,
  Math.min(a + length, UNIVERSE - 1),
]);
const intervals = fc.array(fc.oneof(shortPair, shortPair, pair), {
  maxLength: 12,
  size: "max",
});

function check<K extends Key>(keys: Keys<K>): void {
  fc.assert(
    fc.property(intervals, pair, (pairs, [first, last]) => {
      const tree = treeOf(keys, pairs);
      const span = new SpanIterator(tree, keys.at(first), keys.at(last));
      assertEquals(rest(keys, span), tile([pairs], first, last));
    }),
    { seed: 1, numRuns: 500 },
  );
}

function checkAdvance<K extends Key>(keys: Keys<K>): void {
  const moves = fc.array(fc.oneof(fc.nat(6), fc.constant(-1)), {
    minLength: 1,
  });
  fc.assert(
    fc.property(intervals, pair, moves, (pairs, [first, last], moves) => {
      const span = new SpanIterator(
        treeOf(keys, pairs),
        keys.at(first),
        keys.at(last),
      );
      let from = first;
      for (const move of moves) {
        // -1 stands for the position right behind the span.
        from = move < 0 ? keys.offset(span.last) + 1 : from + move;
        span.advance(keys.at(from));
        assertEquals(span.done, from > last);
        if (span.done) return;
        const [kind, start, end] = tile([pairs], from, last)[0]!;
        assertEquals(
          [span.isHole, span.start, span.last],
          [kind === 0, keys.at(start), keys.at(end)],
        );
      }
      assertEquals(rest(keys, span), tile([pairs], from, last));
    }),
    { seed: 1, numRuns: 500 },
  );
}

function checkDouble<K extends Key>(keys: Keys<K>): void {
  fc.assert(
    fc.property(intervals, intervals, pair, (pairs1, pairs2, range) => {
      const tree1 = treeOf(keys, pairs1);
      const tree2 = treeOf(keys, pairs2);
      assertEquals(
        allDouble(keys, tree1, tree2, range),
        tile([pairs1, pairs2], range[0], range[1]),
      );
    }),
    { seed: 1, numRuns: 500 },
  );
}

describe("SpanIterator", () => {
  it("tiles page indexes with the longest spans", () => check(PAGES));
  it("tiles IOVAs up to 2^64-1 with the longest spans", () => check(IOVAS));
  it("advances within page indexes", () => checkAdvance(PAGES));
  it("advances within IOVAs up to 2^64-1", () => checkAdvance(IOVAS));

  it("joins intervals that touch, but not those that leave a gap", () => {
    const tree = treeOf(PAGES, [[0, 4], [5, 9], [11, 12]]);
    assertEquals(rest(PAGES, new SpanIterator(tree, 0, 15)), [
      [1, 0, 9],
      [0, 10, 10],
      [1, 11, 12],
      [0, 13, 15],
    ]);
  });

  it("stays done once it is done", () => {
    const span = new SpanIterator(treeOf(PAGES, [[2, 3]]), 0, 9);
    span.advance(10);
    assert(span.done);
    span.advance(0);
    assert(span.done);
    span.next();
    assert(span.done);
  });

  it("goes back to a position before the span", () => {
    const span = new SpanIterator(treeOf(PAGES, [[2, 3]]), 1, 9);
    span.advance(7);
    span.advance(0);
    assertEquals(rest(PAGES, span), [[0, 0, 1], [1, 2, 3], [0, 4, 9]]);
  });

  it("sees the whole address space as one hole in an empty tree", () => {
    const tree: Tree<bigint> = new IntervalTree();
    const span = new SpanIterator(tree, 0n, 2n ** 64n - 1n);
    assertEquals(
      [span.isHole, span.start, span.last],
      [true, 0n, 2n ** 64n - 1n],
    );
    span.next();
    assert(span.done);
  });

  it("control: the tiling by position tells covered from free", () => {
    assertEquals(tile([[[1, 2]]], 0, 3), [[0, 0, 0], [1, 1, 2], [0, 3, 3]]);
    assertNotEquals(tile([[[1, 2]]], 0, 3), tile([[[1, 3]]], 0, 3));
    assertEquals(tile([[[1, 2]], [[2, 3]]], 1, 3), [[1, 1, 2], [2, 3, 3]]);
  });
});

describe("DoubleSpanIterator", () => {
  it("tiles page indexes by two trees, the first one first", () => {
    checkDouble(PAGES);
  });

  it("tiles IOVAs up to 2^64-1 by two trees", () => checkDouble(IOVAS));

  it("reports what both trees use as the first one's", () => {
    const tree1 = treeOf(PAGES, [[4, 6]]);
    const tree2 = treeOf(PAGES, [[2, 9]]);
    assertEquals(allDouble(PAGES, tree1, tree2, [0, 10]), [
      [0, 0, 1],
      [2, 2, 3],
      [1, 4, 6],
      [2, 7, 9],
      [0, 10, 10],
    ]);
    assertEquals(allDouble(PAGES, tree2, tree1, [0, 10]), [
      [0, 0, 1],
      [1, 2, 9],
      [0, 10, 10],
    ]);
  });

  it("stays done once it is done", () => {
    const tree = treeOf(PAGES, []);
    const span = new DoubleSpanIterator(tree, tree, 3, 3);
    assertEquals([span.isUsed, span.start, span.last], [0, 3, 3]);
    span.next();
    span.next();
    assert(span.done);
    assertEquals(span.isUsed, -1);
  });
});
