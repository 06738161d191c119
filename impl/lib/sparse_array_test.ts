// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { KernelBug } from "./kernel_bug.ts";
import { LEAF_SIZE, SparseUint32Array } from "./sparse_array.ts";

/** The same operations on a plain Map. */
class NaiveArray {
  readonly map = new Map<number, number>();

  get(index: number): number {
    return this.map.get(index) ?? 0;
  }

  set(index: number, value: number): void {
    if (value === 0) this.map.delete(index);
    else this.map.set(index, value);
  }

  present(first: number, count: number): number {
    let present = 0;
    for (let i = first; i < first + count; i++) {
      if (this.map.has(i)) present++;
    }
    return present;
  }
}

function assertSame(array: SparseUint32Array, naive: NaiveArray): void {
  assertEquals(array.count, naive.map.size);
  assertEquals(array.isEmpty, naive.map.size === 0);
  for (const [index, value] of naive.map) assertEquals(array.get(index), value);
}

/** The bits of the ends of a run that is filled. */
const EDGE = 2 ** 20;

/** Plays one random operation on both; `at` is an index, `n` a count. */
function play(
  array: SparseUint32Array,
  naive: NaiveArray,
  kind: string,
  at: number,
  n: number,
  value: number,
): void {
  const present = naive.present(at, n);
  switch (kind) {
    case "set":
      array.set(at, value % 3 === 0 ? 0 : value);
      naive.set(at, value % 3 === 0 ? 0 : value);
      break;
    case "fill": {
      assertEquals(array.fillRun(at, n, value, EDGE), present);
      for (let i = 0; i < n; i++) naive.set(at + i, value + i);
      for (const edge of [at, at + n - 1]) {
        naive.set(edge, (naive.get(edge) | EDGE) >>> 0);
      }
      break;
    }
    case "store": {
      const source = Int32Array.from({ length: n + 3 }, (_, i) => i * 5 + 7);
      assertEquals(array.storeFrom(at, n, source, 3, -2), present);
      for (let i = 0; i < n; i++) naive.set(at + i, source[i + 3]! - 2);
      break;
    }
    case "clear":
      assertEquals(array.clearRange(at, at + n - 1), present);
      for (let i = 0; i < n; i++) naive.set(at + i, 0);
      break;
    case "read": {
      const out = new Int32Array(n + 4).fill(-9);
      assertEquals(array.readInto(at, n, out, 2, -1), n - present);
      const expected = Int32Array.from(
        { length: n + 4 },
        (_, i) => i < 2 || i >= n + 2 ? -9 : naive.get(at + i - 2) - 1,
      );
      assertEquals(out, expected);
      break;
    }
  }
}

function compareWithMap(base: number): void {
  const step = fc.record({
    kind: fc.constantFrom("set", "fill", "store", "clear", "read"),
    at: fc.oneof(fc.nat(20), fc.integer({ min: 500, max: 530 }), fc.nat(2000)),
    n: fc.oneof(
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 1500 }),
    ),
    value: fc.oneof(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 2 ** 31 - 5, max: 2 ** 32 - 4000 }),
    ),
  });
  const steps = fc.array(step, { maxLength: 40, size: "max" });
  fc.assert(
    fc.property(steps, (steps) => {
      const array = new SparseUint32Array();
      const naive = new NaiveArray();
      for (const { kind, at, n, value } of steps) {
        play(array, naive, kind, base + at, n, value);
      }
      assertSame(array, naive);
    }),
    { seed: 1, numRuns: 100 },
  );
}

describe("SparseUint32Array", () => {
  it("holds what a Map holds", () => compareWithMap(0));
  it("holds what a Map holds at indexes around 2^52", () => {
    compareWithMap(2 ** 52 - 1000);
  });

  it("control: a missing or a different entry is noticed", () => {
    const array = new SparseUint32Array();
    const naive = new NaiveArray();
    naive.set(5, 1);
    assertThrows(() => assertSame(array, naive));
    array.set(5, 2);
    assertThrows(() => assertSame(array, naive));
    array.set(5, 1);
    assertSame(array, naive);
  });

  it("has a leaf exactly where entries are", () => {
    const array = new SparseUint32Array();
    array.fillRun(LEAF_SIZE - 1, 2, 10, 0);
    assertEquals(array.leaf(0)?.[LEAF_SIZE - 1], 10);
    assertEquals(array.leaf(LEAF_SIZE)?.[0], 11);
    assertEquals(array.leaf(2 * LEAF_SIZE), undefined);
    array.set(LEAF_SIZE, 0);
    assertEquals(array.leaf(LEAF_SIZE), undefined);
    assertEquals(array.clearRange(0, LEAF_SIZE - 1), 1);
    assertEquals(array.leaf(0), undefined);
  });

  it("hands out leaves that it used before as empty ones", () => {
    const array = new SparseUint32Array();
    array.fillRun(0, 100 * LEAF_SIZE, 1, 0);
    assertEquals(array.clearRange(0, 2 ** 40), 100 * LEAF_SIZE);
    array.set(7000, 3);
    assertEquals([...array.leaf(7000)!].filter((value) => value !== 0), [3]);
    assertEquals(array.count, 1);
  });

  it("counts claimed entries as present, those that were so only once", () => {
    const array = new SparseUint32Array();
    array.set(514, 9);
    const leaf = array.claim(513, 3);
    leaf.fill(7, 513 % 512, 513 % 512 + 3);
    assertEquals(array.count, 3);
    assertEquals([512, 513, 514, 515, 516].map((i) => array.get(i)), [
      0,
      7,
      7,
      7,
      0,
    ]);
    assertEquals(array.clearRange(0, 1000), 3);
    assert(array.isEmpty);
  });

  it("takes storing a value that it cannot hold for a bug", () => {
    const array = new SparseUint32Array();
    assertThrows(() => array.fillRun(0, 2, 0, 0), KernelBug);
    assertThrows(() => array.fillRun(0, 2, 2 ** 32 - 1, 0), KernelBug);
    const source = Int32Array.of(4, -1);
    assertThrows(() => array.storeFrom(0, 2, source, 0, 1), KernelBug);
    array.fillRun(0, 2, 2 ** 32 - 2, 0);
    assertEquals([array.get(0), array.get(1)], [2 ** 32 - 2, 2 ** 32 - 1]);
  });

  it("does nothing for no entries", () => {
    const array = new SparseUint32Array();
    assertEquals(array.clearRange(0, 2 ** 53 - 1), 0);
    array.set(9, 0);
    assert(array.isEmpty);
    assertEquals(array.leaf(9), undefined);
  });
});
