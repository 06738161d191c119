// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { KernelBug } from "./kernel_bug.ts";
import { AreaTree } from "./area_tree.ts";
import { IntervalNode } from "./interval_tree.ts";
import { U64_MAX } from "./u64.ts";

/** What firstFit is asked for. */
interface Question {
  readonly first: bigint;
  readonly last: bigint;
  readonly length: bigint;
  readonly alignment: bigint;
  readonly pageOffset: bigint;
}

/** The walk over all holes that Linux does, word for word. */
function walk(
  areas: readonly { start: bigint; last: bigint }[],
  { first, last, length, alignment, pageOffset }: Question,
): bigint | undefined {
  const sorted = [...areas].sort((a, b) => a.start < b.start ? -1 : 1);
  let start = first;
  for (const area of [...sorted, { start: last + 1n, last }]) {
    if (area.last < first) continue;
    const end = area.start - 1n < last ? area.start - 1n : last;
    if (start <= end) {
      const sum = start + (alignment - 1n);
      const address = (sum & ~(alignment - 1n)) | pageOffset;
      const fits = address < end && end - address >= length - 1n;
      if (sum <= U64_MAX && fits) return address;
    }
    start = area.last + 1n;
  }
  return undefined;
}

function ask(
  tree: AreaTree<IntervalNode<bigint>>,
  { first, last, length, alignment, pageOffset }: Question,
): bigint | undefined {
  return tree.firstFit(first, last, length, alignment, pageOffset);
}

/** Plays random changes and questions on a tree and on an array. */
function compareWithWalk(
  at: fc.Arbitrary<bigint>,
  areaLength: fc.Arbitrary<bigint>,
  asked: fc.Arbitrary<bigint>,
  alignments: readonly bigint[],
  offsets: readonly bigint[],
): number {
  let fits = 0;
  const step = fc.record({
    kind: fc.constantFrom("insert", "insert", "insert", "remove", "ask", "ask"),
    nth: fc.nat(),
    at,
    to: at,
    areaLength,
    length: asked,
    alignment: fc.constantFrom(...alignments),
    pageOffset: fc.constantFrom(...offsets),
  });
  const steps = fc.array(step, { maxLength: 250, size: "max" });
  fc.assert(
    fc.property(steps, (steps) => {
      const tree = new AreaTree<IntervalNode<bigint>>();
      const model: IntervalNode<bigint>[] = [];
      for (const s of steps) {
        const end = s.at + s.areaLength - 1n;
        const last = end < U64_MAX ? end : U64_MAX;
        const free = !model.some((n) => n.start <= last && s.at <= n.last);
        if (s.kind === "insert" && free) {
          const node = new IntervalNode(s.at, last);
          tree.insert(node);
          model.push(node);
        } else if (s.kind === "remove" && model.length > 0) {
          tree.remove(model.splice(s.nth % model.length, 1)[0]!);
        } else if (s.kind === "ask") {
          const [first, last] = s.at < s.to ? [s.at, s.to] : [s.to, s.at];
          const question = { ...s, first, last };
          const expected = walk(model, question);
          assertEquals(ask(tree, question), expected);
          if (expected !== undefined) fits++;
        }
      }
    }),
    { seed: 1, numRuns: 150 },
  );
  return fits;
}

/** Areas that leave `count` holes of 8 KiB, all at odd multiples of 4 KiB. */
function misaligned<N extends IntervalNode<bigint>>(
  count: number,
  create: (start: bigint, last: bigint) => N,
): AreaTree<N> {
  const tree = new AreaTree<N>();
  for (let i = 0; i <= count; i++) {
    const start = BigInt(i) * 16384n + 12288n;
    tree.insert(create(start, start + 8191n));
  }
  return tree;
}

const ALIGNED_8K: Question = {
  first: 20480n,
  last: U64_MAX,
  length: 8192n,
  alignment: 8192n,
  pageOffset: 0n,
};

/** Counts how often the links of its nodes are followed. */
let steps = 0;

class CountedNode extends IntervalNode<bigint> {
  constructor(start: bigint, last: bigint) {
    super(start, last);
    for (const link of ["treeLeft", "treeRight", "treeParent"]) {
      let target: unknown = null;
      Object.defineProperty(this, link, {
        get: () => (steps++, target),
        set: (to) => target = to,
      });
    }
  }
}

/** Links followed to answer a question. */
function stepsFor(tree: AreaTree<CountedNode>, question: Question): number {
  steps = 0;
  ask(tree, question);
  return steps;
}

describe("AreaTree.firstFit", () => {
  it("chooses as a walk over all holes does", () => {
    const fits = compareWithWalk(
      fc.bigInt({ min: 0n, max: 400n }),
      fc.bigInt({ min: 1n, max: 5n }),
      fc.bigInt({ min: 1n, max: 9n }),
      [1n, 2n, 4n, 8n, 64n],
      [0n, 0n, 1n, 2n, 3n, 5n],
    );
    assert(fits > 500, `${fits} questions had an answer`);
  });

  it("chooses as a walk does in pages, with offsets above the alignment", () => {
    const fits = compareWithWalk(
      fc.bigInt({ min: 0n, max: 3000n }).map((at) => at * 1024n),
      fc.bigInt({ min: 1n, max: 20n }).map((length) => length * 1024n),
      fc.bigInt({ min: 1n, max: 20000n }),
      [1n, 4n, 512n, 4096n, 8192n, 1n << 21n],
      [0n, 0n, 4n, 100n, 2048n, 4095n],
    );
    assert(fits > 500, `${fits} questions had an answer`);
  });

  it("chooses as a walk does up to 2^64-1, whatever the length", () => {
    const top = fc.bigInt({ min: 0n, max: 200n }).map((down) => U64_MAX - down);
    const fits = compareWithWalk(
      fc.oneof(
        top,
        fc.bigInt({ min: 0n, max: 2000n }).map((n) => n << 53n),
        fc.bigInt({ min: 0n, max: U64_MAX }),
      ),
      fc.bigInt({ min: 1n, max: 6n }),
      fc.oneof(
        fc.bigInt({ min: 1n, max: 8n }),
        fc.bigInt({ min: 1n << 52n, max: 1n << 57n }),
        fc.bigInt({ min: 1n, max: 1n << 64n }),
      ),
      [1n, 2n, 4096n, 1n << 54n, 1n << 63n],
      [0n, 1n, 4095n],
    );
    assert(fits > 500, `${fits} questions had an answer`);
  });

  it("control: the walk sees a difference of one byte", () => {
    const areas = [{ start: 0n, last: 9n }, { start: 20n, last: 29n }];
    const question = { ...ALIGNED_8K, first: 0n, last: 29n, alignment: 1n };
    assertEquals(walk(areas, { ...question, length: 10n }), 10n);
    assertEquals(walk(areas, { ...question, length: 11n }), undefined);
  });

  it("never takes the last byte of a hole as the first one, as Linux", () => {
    const tree = new AreaTree<IntervalNode<bigint>>();
    tree.insert(new IntervalNode(0n, 9n));
    tree.insert(new IntervalNode(11n, 19n));
    assertEquals(tree.firstFit(0n, 100n, 1n, 1n, 0n), 20n);
    assertEquals(tree.firstFit(0n, 20n, 1n, 1n, 0n), undefined);
  });

  it("tells apart holes above 2^53 bytes that differ by one byte", () => {
    const tree = new AreaTree<IntervalNode<bigint>>();
    const hole = 1n << 54n;
    let at = 0n;
    const starts: bigint[] = [];
    for (let i = 0; i < 40; i++) {
      tree.insert(new IntervalNode(at, at));
      starts.push(at + 1n);
      at += hole + BigInt(i) + 1n;
    }
    for (let i = 0; i < 39; i++) {
      const length = hole + BigInt(i);
      assertEquals(tree.firstFit(0n, at - 1n, length, 1n, 0n), starts[i]);
    }
    assertEquals(tree.firstFit(0n, at - 1n, hole + 40n, 1n, 0n), undefined);
  });

  it("stays in the range that it is given", () => {
    const tree = misaligned(20, (start, last) => new IntervalNode(start, last));
    const question = { ...ALIGNED_8K, alignment: 4096n };
    assertEquals(ask(tree, question), 20480n);
    assertEquals(ask(tree, { ...question, first: 20481n }), 36864n);
    assertEquals(ask(tree, { ...question, last: 28671n }), 20480n);
    assertEquals(ask(tree, { ...question, last: 28670n }), undefined);
  });

  it("takes logarithmic time where every hole is long enough but misaligned", () => {
    const create = (start: bigint, last: bigint) =>
      new CountedNode(start, last);
    const counts = [1000, 100_000].map((holes) => {
      const tree = misaligned(holes, create);
      const answer = BigInt(holes + 1) * 16384n + 8192n;
      assertEquals(ask(tree, ALIGNED_8K), answer);
      return stepsFor(tree, ALIGNED_8K);
    });
    assert(counts[0]! < 200, `${counts[0]} steps over 1000 holes`);
    assert(counts[1]! < 300, `${counts[1]} steps over 100000 holes`);

    // Control: the first question has to look at all holes, and is seen to.
    const fresh = misaligned(1000, create);
    assert(stepsFor(fresh, ALIGNED_8K) > 1000);
  });

  it("stays fast while areas come and go between the questions", () => {
    const tree = misaligned(
      2000,
      (start, last) => new CountedNode(start, last),
    );
    ask(tree, ALIGNED_8K);
    const nodes = [...tree];
    let most = 0;
    for (let i = 0; i < 500; i++) {
      const node = nodes[(i * 7) % 1900 + 50]!;
      tree.remove(node);
      most = Math.max(most, stepsFor(tree, ALIGNED_8K));
      assertEquals(ask(tree, ALIGNED_8K), node.start - 4096n);
      tree.insert(node);
    }
    assert(most < 200, `${most} steps`);
  });

  it("answers right when many alignments and offsets are asked in turn", () => {
    const tree = misaligned(
      200,
      (start, last) => new IntervalNode(start, last),
    );
    const areas = [...tree];
    for (let i = 0; i < 400; i++) {
      const question = {
        ...ALIGNED_8K,
        length: 8192n - BigInt(i),
        alignment: 1n << BigInt(i % 14),
        pageOffset: BigInt(i % 9) << 3n,
      };
      assertEquals(ask(tree, question), walk(areas, question));
    }
  });
});

describe("AreaTree", () => {
  it("takes an area over another for a bug, and stays as it was", () => {
    const tree = new AreaTree<IntervalNode<bigint>>();
    for (let i = 0n; i < 20n; i++) {
      tree.insert(new IntervalNode(i * 100n, i * 100n + 49n));
    }
    tree.firstFit(0n, U64_MAX, 10n, 2n, 0n);
    for (const [start, last] of [[149n, 150n], [90n, 100n], [0n, 5000n]]) {
      const node = new IntervalNode(start!, last!);
      assertThrows(() => tree.insert(node), KernelBug);
      assert(!node.inTree);
    }
    assertEquals([...tree].length, 20);
    assertEquals(tree.firstFit(0n, U64_MAX, 50n, 1n, 0n), 50n);
    tree.insert(new IntervalNode(50n, 99n));
    assertEquals(tree.firstFit(0n, U64_MAX, 50n, 1n, 0n), 150n);
  });

  it("takes inserting or removing twice for a bug", () => {
    const tree = new AreaTree<IntervalNode<bigint>>();
    const node = new IntervalNode(1n, 2n);
    assertThrows(() => tree.remove(node), KernelBug);
    tree.insert(node);
    assertThrows(() => tree.insert(node), KernelBug);
    assertEquals(tree.size, 1);
  });
});
