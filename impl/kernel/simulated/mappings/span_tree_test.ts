// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { type Span, SpanTree } from "./span_tree.ts";

/** Addresses of the property. */
const SPACE = 64;

/** The hole that a walk over all addresses finds. */
function naiveHole(
  used: readonly boolean[],
  low: number,
  high: number,
  length: number,
  highest: boolean,
): Span | undefined {
  const holes: Span[] = [];
  for (let start = low; start < high; start++) {
    if (used[start]) continue;
    let end = start;
    while (end < high && !used[end]) end++;
    if (end - start >= length) holes.push({ start, end });
    start = end;
  }
  return highest ? holes.at(-1) : holes[0];
}

/** Spans whose ends are counted when they are looked at. */
class CountedSpan implements Span {
  static steps = 0;
  readonly #start: number;
  constructor(start: number) {
    this.#start = start;
  }
  get start(): number {
    CountedSpan.steps++;
    return this.#start;
  }
  get end(): number {
    CountedSpan.steps++;
    return this.#start + 1;
  }
}

describe("SpanTree", () => {
  it("finds spans and holes as a walk over all addresses does", () => {
    const step = fc.record({
      at: fc.nat(SPACE - 1),
      length: fc.integer({ min: 1, max: 6 }),
      low: fc.nat(SPACE),
      high: fc.nat(SPACE),
      need: fc.integer({ min: 1, max: 8 }),
      highest: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const tree = new SpanTree<Span>();
        const used = new Array<boolean>(SPACE + 8).fill(false);
        for (const { at, length, low, high, need, highest } of steps) {
          const there = tree.after(at);
          const end = at + length;
          if (there !== undefined && there.start < end) {
            tree.remove(there);
            used.fill(false, there.start, there.end);
          } else {
            tree.insert({ start: at, end });
            used.fill(true, at, end);
          }
          const hole = tree.hole(low, high, need, highest);
          assertEquals(hole, naiveHole(used, low, high, need, highest));
        }
        const covered = new Array<boolean>(SPACE + 8).fill(false);
        const spans = [...tree];
        for (const { start, end } of spans) covered.fill(true, start, end);
        assertEquals(covered, used);
        assertEquals(spans.length, tree.size);
        assertEquals(spans, spans.toSorted((a, b) => a.start - b.start));
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it("takes a few steps more for 64 times as many spans", () => {
    const stepsOf = (count: number) => {
      const tree = new SpanTree<CountedSpan>();
      for (let i = 0; i < count; i++) tree.insert(new CountedSpan(2 * i));
      CountedSpan.steps = 0;
      for (let i = 0; i < 64; i++) {
        const at = 2 + 2 * ((i * 7919) % (count - 2));
        tree.remove(tree.after(at)!);
        const hole = tree.hole(0, 2 * count, 3, i % 2 === 0);
        assertEquals(hole?.start, at - 1);
        tree.insert(new CountedSpan(at));
      }
      return CountedSpan.steps;
    };
    const [few, many] = [stepsOf(512), stepsOf(512 * 64)];
    assert(many < 3 * few, `${few} steps, then ${many}`);
  });
});
