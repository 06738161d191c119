// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { addRun, expandRuns, makeFrameList } from "../../../lib/frame_list.ts";
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
    const list = makeFrameList(6);
    assertEquals(table.pin(frames, first, 6, list), 6);
    const out = new Int32Array(6);
    assertEquals(expandRuns(list, out, 0), 6);
    const pfns = range(first, first + 6).map((i) =>
      table.get(i) >> PTE_PFN_SHIFT
    );
    assertEquals([...out], pfns);
    for (const pfn of pfns) assertEquals(frames.pins(pfn), 1);
  });

  it("stops pinning at a missing page, at a shared one, and at an overflow", () => {
    const frames = new Frames(HPAGE_SIZE * 4);
    const table = tableWith(frames, range(0, 6));
    const pin = () => table.pin(frames, 0, 6, makeFrameList(6));
    assertEquals(pin(), 6, "control: all present");
    table.zap(frames, 4, 5);
    assertEquals(pin(), 4, "missing");
    table.set(2, table.get(2) & ~PTE_EXCLUSIVE);
    assertEquals(pin(), 2, "shared");
    const pfn = table.get(1) >> PTE_PFN_SHIFT;
    frames.refcount[pfn] = 2 ** 31 - GUP_PIN_COUNTING_BIAS;
    assertEquals(pin(), 1, "overflow");
    assertEquals(frames.refcount[pfn], 2 ** 31 - GUP_PIN_COUNTING_BIAS);
    frames.refcount[pfn]!--;
    assertEquals(pin(), 2, "control: just fits");
  });

  it("keeps frames as runs, as long as they can be", () => {
    const frames = new Frames(HPAGE_SIZE * 4);
    const table = new PageTable();
    const pfns = [7, 8, 9, 3, 5, 6, 2, 1, 10, 11];
    for (const [i, pfn] of pfns.entries()) {
      table.set(i, (pfn << PTE_PFN_SHIFT) | PTE_EXCLUSIVE);
    }
    const list = makeFrameList(11);
    addRun(list, 11, 4, 3);
    assertEquals(table.pin(frames, 0, 10, list), 10);
    const runs = range(0, list.end).map((i) => [list.pfns[i], list.npfns[i]]);
    assertEquals(runs, [[4, 6], [3, 1], [5, 2], [2, 1], [1, 1], [10, 2]]);
    for (const pfn of pfns) assertEquals(frames.pins(pfn), 1);
    table.set(4, (5 << PTE_PFN_SHIFT) & ~PTE_EXCLUSIVE);
    frames.refcount[8] = 2 ** 31 - GUP_PIN_COUNTING_BIAS;
    list.end = 0;
    assertEquals(table.pin(frames, 0, 10, list), 1, "overflow within a run");
    assertEquals([list.end, list.pfns[0], list.npfns[0]], [1, 7, 1]);
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
