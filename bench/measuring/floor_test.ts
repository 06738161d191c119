// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { AmdV1PageTable } from "../../impl/iommu/amdv1/page_table.ts";
import { D } from "../../impl/iommu/amdv1/entry.ts";
import { MOCK_FORMAT } from "../../impl/mock/amd_domain.ts";
import {
  accessFloor,
  copyFloor,
  dirtyFloor,
  mapFloor,
  rwFloor,
} from "./floor.ts";
import {
  clean,
  copyEntries,
  markDirty,
  pin,
  pinAndStore,
  pinHuge,
  store,
  storePinned,
  unpin,
  unpinHuge,
  unpinStored,
} from "./floor_loops.ts";

/** Frames 5 and 6, then 9, then 3. */
const FRAMES = [5, 6, 9, 3];
const PAGE_TABLE = Int32Array.from(FRAMES, (pfn) => (pfn << 1) | 1);

/** The words of the items that the mock has for runs of frames, from the table of a level. */
function wordsOf(
  runs: readonly (readonly [pfn: number, count: number])[],
): number[] {
  const table = new AmdV1PageTable(MOCK_FORMAT);
  let iova = 0;
  for (const [pfn, count] of runs) {
    table.map(iova, pfn * 4096, count * 4096, 3);
    iova += count * 4096;
  }
  const items = table.entries().flatMap(({ items }) => items);
  return [...new Int32Array(BigUint64Array.from(items).buffer)];
}

describe("the loops of the floors", () => {
  it("pin each frame once and store the entries that the mock has", () => {
    const refcount = new Int32Array(10).fill(1);
    const words = new Int32Array(16);
    assertEquals(pinAndStore(PAGE_TABLE, refcount, words), 3);
    const runs = FRAMES.map((pfn) => [pfn, 1] as const);
    assertEquals([...words], wordsOf(runs));
    assertEquals([...refcount], [1, 1, 1, 1025, 1, 1025, 1025, 1, 1, 1025]);
  });

  it("pin huge pages, with an entry for each", () => {
    const pfns = [1024, 512].flatMap((first) =>
      Array.from({ length: 512 }, (_, i) => first + i)
    );
    const refcount = new Int32Array(1536).fill(1);
    const words = new Int32Array(8);
    const pageTable = Int32Array.from(pfns, (pfn) => (pfn << 1) | 1);
    assertEquals(pinHuge(pageTable, refcount, words), 2);
    assertEquals([...words], wordsOf([[1024, 512], [512, 512]]));
    assertEquals([refcount[511], refcount[512], refcount[1535]], [
      1,
      1025,
      1025,
    ]);
    refcount[600] = 1024;
    assertEquals(unpinHuge(refcount, words), 1);
    assertEquals([refcount[512], refcount[600], refcount[1535]], [1, 0, 1]);
  });

  it("store the same in one more domain, from memory or from a domain", () => {
    const first = new Int32Array(16);
    pinAndStore(PAGE_TABLE, new Int32Array(10), first);
    const second = new Int32Array(16);
    assertEquals(store(PAGE_TABLE, second), 3);
    const third = new Int32Array(16);
    assertEquals(copyEntries(first, third), 3);
    assertEquals([second, third], [first, first]);
  });

  it("unpin the frames of entries and find those that come free", () => {
    const refcount = new Int32Array(10).fill(1);
    refcount[9] = 0;
    const words = new Int32Array(16);
    pinAndStore(PAGE_TABLE, refcount, words);
    assertEquals(unpin(refcount, words), 1);
    assertEquals([...refcount], [1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
  });

  it("pin for an access, from memory or from a domain, and unpin", () => {
    const refcount = new Int32Array(10).fill(1);
    const pinned = new Uint32Array(4);
    const out = new Int32Array(4);
    pin(PAGE_TABLE, refcount, pinned, out);
    assertEquals([...out], FRAMES);
    assertEquals([...pinned], FRAMES.map((pfn) => pfn + 1));
    assertEquals(refcount[5], 1025);
    assertEquals(unpinStored(refcount, pinned), 0);
    assertEquals(refcount[5], 1);

    const words = new Int32Array(16);
    pinAndStore(PAGE_TABLE, refcount, words);
    storePinned(words, pinned.fill(0), out.fill(0));
    assertEquals([...out], FRAMES);
    assertEquals([...pinned], FRAMES.map((pfn) => pfn + 1));
  });

  it("find dirty entries once", () => {
    const words = new Int32Array(32);
    const bitmap = new Uint8Array(2);
    markDirty(words);
    assertEquals(words[4]! & D, D);
    words[8] = 0;
    assertEquals(clean(words, bitmap), 7);
    assertEquals([...bitmap], [0xcf, 0xff]);
    assertEquals(clean(words, bitmap), 0);
  });
});

describe("the floors", () => {
  it("do all of the work of all domains, and undo it", () => {
    const ordered = mapFloor({ npages: 1000, domains: 2 });
    assertEquals(ordered.map(), 2); // one run in each domain
    ordered.unmap();
    assertEquals(ordered.map(), 2);
    const scattered = mapFloor({ npages: 1000, scattered: true });
    assertEquals(scattered.map() > 900, true);
  });

  it("copy into each domain", () => {
    assertEquals(copyFloor({ npages: 1000, domains: 2 }).copy!(), 2);
  });

  it("return something that depends on the last page", () => {
    const last = 512 + 999;
    assertEquals(accessFloor({ npages: 1000, domains: 0 }).pin!(), last);
    assertEquals(accessFloor({ npages: 1000, domains: 1 }).pin!(), last);
    assertEquals(rwFloor(100, 3)(), 600);
    const { mark, get } = dirtyFloor(1000);
    mark();
    assertEquals([get(), get()], [1000, 0]);
  });
});
