// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { HPAGE_SIZE } from "../../../uapi/mman.ts";
import { Frames, GUP_PIN_COUNTING_BIAS } from "./frames.ts";
import {
  LEAF_PAGES,
  PageTable,
  PTE_EXCLUSIVE,
  PTE_PFN_SHIFT,
} from "./page_table.ts";

/** A table with exclusive frames at the given indexes. */
function tableWith(frames: Frames, indexes: Iterable<number>): PageTable {
  const table = new PageTable();
  for (const index of indexes) {
    table.set(index, (frames.alloc() << PTE_PFN_SHIFT) | PTE_EXCLUSIVE);
  }
  return table;
}

function range(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, i) => first + i);
}

describe("PageTable", () => {
  it("pins across leaves and reports the frames in order", () => {
    const frames = new Frames(HPAGE_SIZE * 4);
    const first = LEAF_PAGES - 3;
    const table = tableWith(frames, range(first, first + 6));
    const out = new Int32Array(8).fill(-1);
    assertEquals(table.pin(frames, first, 6, out, 1), 6);
    const pfns = range(first, first + 6).map((i) =>
      table.get(i) >> PTE_PFN_SHIFT
    );
    assertEquals([...out], [-1, ...pfns, -1]);
    for (const pfn of pfns) assertEquals(frames.pins(pfn), 1);
  });

  it("stops pinning at a missing page, at a shared one, and at an overflow", () => {
    const frames = new Frames(HPAGE_SIZE * 4);
    const table = tableWith(frames, range(0, 6));
    const out = new Int32Array(6);
    assertEquals(table.pin(frames, 0, 6, out, 0), 6, "control: all present");
    table.zap(frames, 4, 5);
    assertEquals(table.pin(frames, 0, 6, out, 0), 4, "missing");
    table.set(2, table.get(2) & ~PTE_EXCLUSIVE);
    assertEquals(table.pin(frames, 0, 6, out, 0), 2, "shared");
    const pfn = table.get(1) >> PTE_PFN_SHIFT;
    frames.refcount[pfn] = 2 ** 31 - GUP_PIN_COUNTING_BIAS;
    assertEquals(table.pin(frames, 0, 6, out, 0), 1, "overflow");
    assertEquals(frames.refcount[pfn], 2 ** 31 - GUP_PIN_COUNTING_BIAS);
    frames.refcount[pfn]!--;
    assertEquals(table.pin(frames, 0, 6, out, 0), 2, "control: just fits");
  });

  it("drops exactly the range it is told to and forgets empty leaves", () => {
    const frames = new Frames(HPAGE_SIZE * 4);
    const table = tableWith(frames, [0, 5, 511, 512, 600, 2 ** 35]);
    table.zap(frames, 5, 600);
    assertEquals(
      [0, 5, 511, 512, 600, 2 ** 35].map((i) => table.get(i) !== 0),
      [true, false, false, false, true, true],
    );
    assertEquals(frames.used, 3);
    table.zap(frames, 0, Infinity);
    assertEquals(frames.used, 0);
    assertEquals(table.isEmpty, true);
  });

  it("finds the leaves of a range whichever way it walks", () => {
    const frames = new Frames(HPAGE_SIZE * 4);
    const table = tableWith(frames, [3, 700, 5000]);
    assertEquals([...table.leafStarts(0, 1024)], [0, 512]);
    assertEquals([...table.leafStarts(600, Infinity)].sort(), [4608, 512]);
    assertEquals([...table.leafStarts(1024, 4608)], []);
  });
});
