// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { errnoOf } from "../testing/test_driver.ts";
import { IOMMU_DIRTY_NO_CLEAR } from "../dirty.ts";
import { TABLE_ORDER } from "./entry.ts";
import type { AmdV1Format } from "./format.ts";
import { AmdV1PageTable } from "./page_table.ts";
import { FORMATS } from "./testing/formats.ts";
import { NaivePageTable } from "./testing/naive_page_table.ts";

/** A place, in granules: a multiple of a power of two, so that large entries fit, and a bit more. */
function granules(bits: number): fc.Arbitrary<bigint> {
  return fc.tuple(
    fc.integer({ min: 0, max: bits }),
    fc.bigInt({ min: 0n, max: 5n }),
    fc.bigInt({ min: 0n, max: 3n }),
  ).map(([order, times, more]) => (times << BigInt(order)) + more);
}

const STEP = fc.record({
  what: fc.constantFrom(
    "map",
    "map",
    "map",
    "unmap",
    "again",
    "runs",
    "dirty",
    "read",
  ),
  iova: granules(28),
  paddr: granules(28),
  /** Half of the maps begin at the same place in memory as in IOVA. */
  isSame: fc.boolean(),
  size: granules(22).map((size) => size + 1n),
  prot: fc.constantFrom(1, 2, 3, 3, 3, 0),
  off: fc.constantFrom(0n, 0n, 0n, 0n, 512n),
  keeps: fc.boolean(),
  pick: fc.nat(),
});

/** A page table and the list that it must be like. */
class Pair {
  readonly #table: AmdV1PageTable;
  readonly #naive: NaivePageTable;
  readonly #format: AmdV1Format;

  constructor(format: AmdV1Format) {
    this.#format = format;
    this.#table = new AmdV1PageTable(format);
    this.#naive = new NaivePageTable(format);
  }

  step(step: typeof STEP extends fc.Arbitrary<infer T> ? T : never): void {
    const table = this.#table;
    const naive = this.#naive;
    const granule = BigInt(this.#format.granule);
    let iova = step.iova * granule + step.off;
    // Where large entries do not fit there would be too many.
    const isLarge = step.isSame && this.#format.pageSizes.length > 2;
    let size = (isLarge ? step.size : step.size % 600n + 1n) * granule;
    const paddr = step.isSame ? iova : step.paddr * granule;
    if (step.what === "again" && naive.entries.length > 0) {
      // What is mapped: an entry, or a part of one, or some.
      const at = step.pick % naive.entries.length;
      iova = naive.entries[at]!.iova + step.off * granule;
      if (step.keeps) size = naive.entries[at]!.size;
    }
    switch (step.what) {
      case "map": {
        const errno = errnoOf(() =>
          table.map(Number(iova), Number(paddr), Number(size), step.prot)
        );
        const expected = naive.map(iova, paddr, size, step.prot);
        assertEquals(errno?.name, expected?.name);
        break;
      }
      case "runs":
        this.#mapRuns(iova - step.off, step);
        break;
      case "unmap":
      case "again":
        assertEquals(
          table.unmap(Number(iova), Number(size)),
          Number(naive.unmap(iova, size)),
        );
        break;
      case "dirty":
        table.setDirty(Number(iova));
        naive.setDirty(iova);
        break;
      case "read": {
        const found: [bigint, bigint][] = [];
        const flags = step.keeps ? IOMMU_DIRTY_NO_CLEAR : 0;
        const from = iova - step.off;
        table.readDirty(Number(from), Number(size), flags, {
          isRecording: true,
          record: (at, pgsize, count = 1) => {
            for (let i = 0; i < count; i++) {
              const start = BigInt(at) + BigInt(i) * BigInt(pgsize);
              found.push([start, start + BigInt(pgsize)]);
            }
          },
        });
        assertEquals(found, naive.readDirty(from, size, !step.keeps));
      }
    }
    this.#compare(step.pick);
  }

  #mapRuns(iova: bigint, { pick, prot }: { pick: number; prot: number }): void {
    const lengths = [1, 1, 1 + pick % 3, 1, 1 + pick % 600, 1];
    const npfns = Int32Array.from(lengths);
    const pfns = npfns.map((_, i) => 1000 * ((pick * (i + 1)) % 5000) + i);
    const runs = { pfns, npfns };
    const at = iova - iova % BigInt(this.#format.granule);
    const errno = errnoOf(() =>
      this.#table.mapRuns(Number(at), runs, 1, 6, prot)
    );
    let next = at;
    let expected;
    for (let run = 1; run < 6 && expected === undefined; run++) {
      const size = BigInt(npfns[run]!) * 4096n;
      expected = this.#naive.map(next, BigInt(pfns[run]!) * 4096n, size, prot);
      if (expected === undefined) next += size;
    }
    if (expected !== undefined) {
      while (next > at) {
        const { iova, size } = this.#naive.entries.find((e) =>
          e.iova + e.size === next
        )!;
        next -= size;
        this.#naive.unmap(iova, size);
      }
    }
    assertEquals(errno?.name, expected?.name);
  }

  #compare(pick: number): void {
    const naive = this.#naive;
    const granule = this.#format.granule;
    const entries = this.#table.entries();
    assertEquals(
      entries.map(({ iova, paddr, size }) => [iova, paddr, size]),
      naive.entries.map(({ iova, paddr, size }) =>
        [iova, paddr, size].map(Number)
      ),
    );
    for (const [i, { level, items }] of entries.entries()) {
      const { size, prot, dirty } = naive.entries[i]!;
      const order = Math.log2(Number(size) / granule);
      assertEquals(level, Math.floor(order / TABLE_ORDER));
      assertEquals(items.length, 2 ** (order - level * TABLE_ORDER));
      const all = items.reduce((a, b) => a | b);
      assertEquals((all & 0x40n) !== 0n, dirty);
      assertEquals(Number((items[0]! >> 61n) & 3n), prot);
    }
    for (const { iova, size } of naive.entries) {
      const inside = iova + BigInt(pick) % size;
      for (const at of [iova, iova + size - 1n, iova + size, inside]) {
        if (at >= 2n ** 53n) continue;
        const expected = naive.lookup(at);
        assertEquals(
          this.#table.lookup(Number(at)),
          expected === undefined ? undefined : Number(expected),
        );
      }
    }
  }
}

describe("a page table at random", () => {
  for (const [name, format] of Object.entries(FORMATS)) {
    it(`does what a list of entries does: ${name}`, () => {
      const run = fc.array(STEP, { minLength: 1, maxLength: 20 });
      fc.assert(
        fc.property(run, (steps) => {
          const pair = new Pair(format);
          for (const step of steps) pair.step(step);
        }),
        { seed: 1, numRuns: 80 },
      );
    });
  }
});
