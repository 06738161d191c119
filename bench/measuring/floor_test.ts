// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  PTE_DIRTY,
  PTE_PFN_MASK,
  PTE_PRESENT,
  PTE_START_OR_LAST,
} from "../../impl/mock/iopte.ts";
import {
  accessFloor,
  copyFloor,
  dirtyFloor,
  mapFloor,
  rwFloor,
} from "./floor.ts";
import {
  clean,
  copyIoptes,
  markDirty,
  pin,
  pinAndStore,
  store,
  storePinned,
  unpin,
  unpinStored,
} from "./floor_loops.ts";

/** Frames 5 and 6, then 9, then 3. */
const FRAMES = [5, 6, 9, 3];
const PAGE_TABLE = Int32Array.from(FRAMES, (pfn) => (pfn << 1) | 1);

/** The IOPTEs of FRAMES: whether marked, and the physical address / 2048. */
const IOPTES = [
  [true, 10],
  [false, 11],
  [false, 12],
  [true, 13],
  [true, 18],
  [true, 19],
  [true, 6],
  [true, 7],
];

function decode(ioptes: Uint32Array): [boolean, number][] {
  return [...ioptes].map((pte) => {
    assertNotEquals(pte & PTE_PRESENT, 0);
    return [(pte & PTE_START_OR_LAST) !== 0, pte & PTE_PFN_MASK];
  });
}

describe("the loops of the floors", () => {
  it("pin each frame once and store two IOPTEs, marked at the ends of runs", () => {
    const refcount = new Int32Array(10).fill(1);
    const ioptes = new Uint32Array(8);
    assertEquals(pinAndStore(PAGE_TABLE, refcount, ioptes), 3);
    assertEquals(decode(ioptes), IOPTES as [boolean, number][]);
    assertEquals([...refcount], [1, 1, 1, 1025, 1, 1025, 1025, 1, 1, 1025]);
  });

  it("store the same in one more domain, from memory or from a domain", () => {
    const first = new Uint32Array(8);
    pinAndStore(PAGE_TABLE, new Int32Array(10), first);
    const second = new Uint32Array(8);
    assertEquals(store(PAGE_TABLE, second), 3);
    const third = new Uint32Array(8);
    assertEquals(copyIoptes(first, third), 3);
    assertEquals([second, third], [first, first]);
  });

  it("unpin the frames of IOPTEs and find those that come free", () => {
    const refcount = new Int32Array(10).fill(1);
    refcount[9] = 0;
    const ioptes = new Uint32Array(8);
    pinAndStore(PAGE_TABLE, refcount, ioptes);
    assertEquals(unpin(refcount, ioptes), 1);
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

    const ioptes = new Uint32Array(8);
    pinAndStore(PAGE_TABLE, refcount, ioptes);
    storePinned(ioptes, pinned.fill(0), out.fill(0));
    assertEquals([...out], FRAMES);
    assertEquals([...pinned], FRAMES.map((pfn) => pfn + 1));
  });

  it("find dirty IOPTEs once", () => {
    const ioptes = new Uint32Array(16).fill(PTE_PRESENT);
    const bitmap = new Uint8Array(2);
    markDirty(ioptes);
    assertEquals(ioptes[2]! & PTE_DIRTY, PTE_DIRTY);
    assertEquals(clean(ioptes, bitmap), 8);
    assertEquals([...bitmap], [0x55, 0x55]);
    assertEquals(clean(ioptes, bitmap), 0);
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
