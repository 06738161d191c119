// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { KernelBug } from "./kernel_bug.ts";
import { type AreaRow, AreaTree } from "./area_tree.ts";
import { U64_MAX } from "./u64.ts";

/** What firstFit is asked for. */
interface Question {
  readonly first: bigint;
  readonly last: bigint;
  readonly length: bigint;
  readonly alignment: bigint;
  readonly pageOffset: bigint;
}

/** An area that knows by itself where it is. */
class Area implements AreaRow {
  row = 0;

  constructor(readonly start: bigint, readonly last: bigint) {}
}

/** A tree that takes areas which know where they are, and shows its shape. */
class TestTree extends AreaTree<Area> {
  add(area: Area): void {
    this.insert(area, area.start, area.last);
  }

  get top(): number {
    return this.root;
  }
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
  tree: TestTree,
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
      const tree = new TestTree();
      const model: Area[] = [];
      for (const s of steps) {
        const end = s.at + s.areaLength - 1n;
        const last = end < U64_MAX ? end : U64_MAX;
        const free = !model.some((n) => n.start <= last && s.at <= n.last);
        if (s.kind === "insert" && free) {
          const area = new Area(s.at, last);
          tree.add(area);
          model.push(area);
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
function misaligned<T extends TestTree>(count: number, tree: T): T {
  for (let i = 0; i <= count; i++) {
    const start = BigInt(i) * 16384n + 12288n;
    tree.add(new Area(start, start + 8191n));
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

/** Counts how often the links between its rows are followed. */
class CountedTree extends TestTree {
  steps = 0;

  override leftOf(row: number): number {
    this.steps++;
    return super.leftOf(row);
  }

  override rightOf(row: number): number {
    this.steps++;
    return super.rightOf(row);
  }

  override parentOf(row: number): number {
    this.steps++;
    return super.parentOf(row);
  }

  override rowAfter(row: number): number {
    this.steps++;
    return super.rowAfter(row);
  }
}

/** Links followed to answer a question. */
function stepsFor(tree: CountedTree, question: Question): number {
  tree.steps = 0;
  ask(tree, question);
  return tree.steps;
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
    const tree = new TestTree();
    tree.add(new Area(0n, 9n));
    tree.add(new Area(11n, 19n));
    assertEquals(tree.firstFit(0n, 100n, 1n, 1n, 0n), 20n);
    assertEquals(tree.firstFit(0n, 20n, 1n, 1n, 0n), undefined);
  });

  it("tells apart holes above 2^53 bytes that differ by one byte", () => {
    const tree = new TestTree();
    const hole = 1n << 54n;
    let at = 0n;
    const starts: bigint[] = [];
    for (let i = 0; i < 40; i++) {
      tree.add(new Area(at, at));
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
    const tree = misaligned(20, new TestTree());
    const question = { ...ALIGNED_8K, alignment: 4096n };
    assertEquals(ask(tree, question), 20480n);
    assertEquals(ask(tree, { ...question, first: 20481n }), 36864n);
    assertEquals(ask(tree, { ...question, last: 28671n }), 20480n);
    assertEquals(ask(tree, { ...question, last: 28670n }), undefined);
  });

  it("takes logarithmic time where every hole is long enough but misaligned", () => {
    const counts = [1000, 100_000].map((holes) => {
      const tree = misaligned(holes, new CountedTree());
      const answer = BigInt(holes + 1) * 16384n + 8192n;
      assertEquals(ask(tree, ALIGNED_8K), answer);
      return stepsFor(tree, ALIGNED_8K);
    });
    assert(counts[0]! < 200, `${counts[0]} steps over 1000 holes`);
    assert(counts[1]! < 300, `${counts[1]} steps over 100000 holes`);

    // Control: the first question has to look at all holes, and is seen to.
    const fresh = misaligned(1000, new CountedTree());
    assert(stepsFor(fresh, ALIGNED_8K) > 1000);
  });

  it("stays fast while areas come and go between the questions", () => {
    const tree = misaligned(2000, new CountedTree());
    ask(tree, ALIGNED_8K);
    const nodes = [...tree];
    let most = 0;
    for (let i = 0; i < 500; i++) {
      const node = nodes[(i * 7) % 1900 + 50]!;
      tree.remove(node);
      most = Math.max(most, stepsFor(tree, ALIGNED_8K));
      assertEquals(ask(tree, ALIGNED_8K), node.start - 4096n);
      tree.add(node);
    }
    assert(most < 200, `${most} steps`);
  });

  it("answers right when many alignments and offsets are asked in turn", () => {
    const tree = misaligned(200, new TestTree());
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
    const tree = new TestTree();
    for (let i = 0n; i < 20n; i++) {
      tree.add(new Area(i * 100n, i * 100n + 49n));
    }
    tree.firstFit(0n, U64_MAX, 10n, 2n, 0n);
    for (const [start, last] of [[149n, 150n], [90n, 100n], [0n, 5000n]]) {
      const area = new Area(start!, last!);
      assertThrows(() => tree.add(area), KernelBug);
      assert(!tree.has(area));
    }
    assertEquals([...tree].length, 20);
    assertEquals(tree.firstFit(0n, U64_MAX, 50n, 1n, 0n), 50n);
    tree.add(new Area(50n, 99n));
    assertEquals(tree.firstFit(0n, U64_MAX, 50n, 1n, 0n), 150n);
  });

  it("takes inserting or removing twice for a bug", () => {
    const tree = new TestTree();
    const area = new Area(1n, 2n);
    assertThrows(() => tree.remove(area), KernelBug);
    tree.add(area);
    assertThrows(() => tree.add(area), KernelBug);
    assertEquals(tree.size, 1);
  });

  it("cuts and finds as a sorted array does, up to 2^64-1", () => {
    const cuts = { areas: 0, whole: 0 };
    const base = fc.constantFrom(0n, 2n ** 32n - 60n, U64_MAX - 121n);
    const at = fc.bigInt({ min: 0n, max: 119n });
    const step = fc.record({
      kind: fc.constantFrom("insert", "insert", "insert", "insert", "cut"),
      at,
      length: fc.bigInt({ min: 1n, max: 3n }),
      from: fc.nat(),
      count: fc.nat(30),
      asks: fc.boolean(),
    });
    fc.assert(
      fc.property(
        base,
        fc.array(step, { maxLength: 120, size: "max" }),
        (base, steps) => {
          const tree = new TestTree();
          let model: Area[] = [];
          for (const { kind, at, length, from, count, asks } of steps) {
            // Columns come with questions.
            if (asks) tree.firstFit(base, U64_MAX, 3n, 1n, 0n);
            const start = base + at;
            const last = start + length - 1n;
            if (kind === "cut" && model.length > 0) {
              const first = from % model.length;
              const gone = model.splice(first, count + 1);
              const bytes = tree.cut(gone[0]!, gone.at(-1)!);
              const lengths = gone.map((area) => area.last - area.start + 1n);
              assertEquals(bytes, lengths.reduce((sum, each) => sum + each));
              cuts.areas += gone.length;
              if (model.length === 0) cuts.whole++;
            } else if (model.every((a) => a.last < start || last < a.start)) {
              const area = new Area(start, last);
              tree.add(area);
              model = [...model, area].sort((a, b) =>
                a.start < b.start ? -1 : 1
              );
            }
            assertSame([...tree], model);
            checkShape(tree);
            assertFinds(tree, model, start, last);
          }
        },
      ),
      { seed: 1, numRuns: 150 },
    );
    assert(cuts.areas > 1000 && cuts.whole > 50, JSON.stringify(cuts));
  });

  it("has short paths, whether areas come in order or not", () => {
    const n = 1 << 14;
    for (const stride of [1, 5_003]) {
      const tree = new TestTree();
      for (let i = 0; i < n; i++) {
        const at = BigInt(i * stride % n);
        tree.add(new Area(at, at));
      }
      const depth = checkShape(tree);
      assert(depth < 4 * Math.log2(n), `${depth} rows deep`);
    }
  });

  it("finds out whether a path is long: the control has no priorities", () => {
    class List extends TestTree {
      override rightOf(row: number): number {
        return row < 200 ? row + 1 : 0;
      }
    }
    assertThrows(() => checkShape(misaligned(10, new List())));
  });

  it("uses rows again", () => {
    const tree = misaligned(100, new TestTree());
    const end = tree.rowsEnd;
    const areas = [...tree];
    tree.cut(areas[10]!, areas[59]!);
    for (const { start, last } of areas.slice(10, 60)) {
      tree.add(new Area(start, last));
    }
    assertEquals(tree.rowsEnd, end);
    tree.cut([...tree][0]!, [...tree].at(-1)!);
    assertEquals([tree.size, tree.rowsEnd], [0, 1]);
  });
});

function assertSame(actual: readonly Area[], expected: readonly Area[]): void {
  assertEquals(actual.length, expected.length);
  actual.forEach((area, i) => assert(area === expected[i], `area ${i}`));
}

/** Compares what is found of a range, and around each area, with what an array has. */
function assertFinds(
  tree: TestTree,
  model: readonly Area[],
  start: bigint,
  last: bigint,
): void {
  const first = model.find((area) => area.last >= start && area.start <= last);
  assert(tree.first(start, last) === first);
  assert(tree.lastUpTo(last) === model.findLast((area) => area.start <= last));
  model.forEach((area, i) => {
    assert(tree.after(area) === model[i + 1], `after ${i}`);
    assertEquals(tree.rowBefore(area.row), model[i - 1]?.row ?? 0);
    assertEquals(tree.startOf(area.row), area.start);
    assertEquals(tree.lastOf(area.row), area.last);
  });
}

/** Checks order and links of a tree; returns how deep it is. */
function checkShape(tree: TestTree): number {
  const rows = new Set<number>();
  const depth = (row: number, parent: number): number => {
    if (row === 0) return 0;
    assert(!rows.has(row), "a row is there twice");
    rows.add(row);
    assertEquals(tree.parentOf(row), parent);
    const left = depth(tree.leftOf(row), row);
    return 1 + Math.max(left, depth(tree.rightOf(row), row));
  };
  const deepest = depth(tree.top, 0);
  assertEquals(rows.size, tree.size);
  return deepest;
}
