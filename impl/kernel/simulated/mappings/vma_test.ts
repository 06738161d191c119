// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { HPAGE_SIZE, PAGE_SIZE } from "../../../uapi/mman.ts";
import { Frames } from "../pages/frames.ts";
import { SimulatedObject } from "../pages/memory_object.ts";
import { PrivatePages } from "../pages/private_pages.ts";
import { Vma, VmaList, type VmaOptions } from "./vma.ts";

const frames = new Frames(HPAGE_SIZE * 2);

/** A mapping of pages [first, end). */
function vma(first: number, end: number, more: Partial<VmaOptions> = {}): Vma {
  return new Vma({
    start: first * PAGE_SIZE,
    end: end * PAGE_SIZE,
    prot: 3,
    shared: false,
    mayWrite: true,
    granule: PAGE_SIZE,
    object: null,
    pageOffset: 0,
    privatePages: new PrivatePages(frames),
    ...more,
  });
}

/** The mappings as page ranges. */
function ranges(list: VmaList): string {
  return Array.from(list, (v) => `${v.start / PAGE_SIZE}-${v.end / PAGE_SIZE}`)
    .join(" ");
}

describe("VmaList", () => {
  it("finds the mapping of an address, and none for anything else", () => {
    const list = new VmaList();
    const middle = vma(10, 20);
    for (const v of [vma(30, 40), vma(1, 5), middle]) list.insert(v);
    assertEquals(list.lookup(10 * PAGE_SIZE), middle);
    assertEquals(list.lookup(20 * PAGE_SIZE - 1), middle);
    for (const at of [9.5, 20, 5, 0, 40, -1, NaN, Infinity, 2 ** 60]) {
      assertEquals(list.lookup(at * PAGE_SIZE), undefined, `page ${at}`);
    }
  });

  it("joins neighbours that continue each other, and only those", () => {
    const list = new VmaList();
    for (const v of [vma(0, 2), vma(4, 6), vma(2, 4)]) list.insert(v);
    assertEquals(ranges(list), "0-6");
    list.insert(vma(6, 8, { prot: 1 }));
    list.insert(vma(9, 10));
    assertEquals(ranges(list), "0-6 6-8 9-10");
  });

  it("joins parts of one object only if the object continues too", () => {
    const list = new VmaList();
    const object = new SimulatedObject(frames, 1e6);
    const mapped = { shared: true, object };
    list.insert(vma(0, 2, { ...mapped, object: object.get() }));
    list.insert(vma(2, 4, { ...mapped, object: object.get(), pageOffset: 2 }));
    list.insert(vma(4, 6, { ...mapped, object: object.get(), pageOffset: 5 }));
    assertEquals(ranges(list), "0-4 4-6");
    assertEquals(object.refs, 3, "a joined mapping gave its reference back");
  });

  it("cuts mappings at the borders of what is removed", () => {
    const list = new VmaList();
    const object = new SimulatedObject(frames, 1e6);
    list.insert(vma(0, 10, { shared: true, object, pageOffset: 100 }));
    const removed = list.remove(3 * PAGE_SIZE, 5 * PAGE_SIZE);
    assertEquals(ranges(list), "0-3 5-10");
    assertEquals(removed.map((v) => v.pageOffset), [103]);
    assertEquals(Array.from(list, (v) => v.pageOffset), [100, 105]);
    assertEquals(object.refs, 3);
  });

  it("changes a part and joins again what became alike", () => {
    const list = new VmaList();
    list.insert(vma(0, 10));
    list.change(3 * PAGE_SIZE, 5 * PAGE_SIZE, (v) => v.prot = 1);
    assertEquals(ranges(list), "0-3 3-5 5-10");
    list.change(0, 10 * PAGE_SIZE, (v) => v.prot = 3);
    assertEquals(ranges(list), "0-10");
  });

  it("finds the highest hole below a limit, and the lowest above one", () => {
    const list = new VmaList();
    for (const v of [vma(10, 20), vma(24, 30), vma(40, 50)]) list.insert(v);
    const high = 40 * PAGE_SIZE;
    assertEquals(pageOf(list.findTopDown(4 * PAGE_SIZE, 0, high, 4096, 0)), 36);
    assertEquals(
      pageOf(list.findTopDown(4 * PAGE_SIZE, 0, 30 * PAGE_SIZE, 4096, 0)),
      20,
    );
    assertEquals(
      pageOf(list.findTopDown(5 * PAGE_SIZE, 0, 30 * PAGE_SIZE, 4096, 0)),
      5,
    );
    assertEquals(
      list.findTopDown(11 * PAGE_SIZE, 0, 40 * PAGE_SIZE, 4096, 0),
      undefined,
    );
    assertEquals(
      pageOf(list.findBottomUp(4 * PAGE_SIZE, 8 * PAGE_SIZE, high, 4096, 0)),
      20,
    );
    assertEquals(
      pageOf(list.findBottomUp(11 * PAGE_SIZE, 0, 2 ** 40, 4096, 0)),
      50,
    );
    assertEquals(
      list.findBottomUp(11 * PAGE_SIZE, 0, high, 4096, 0),
      undefined,
    );
  });

  it("aligns what it finds", () => {
    const list = new VmaList();
    list.insert(vma(1000, 1001));
    const high = 1500 * PAGE_SIZE;
    const found = list.findTopDown(
      PAGE_SIZE,
      0,
      high,
      HPAGE_SIZE,
      HPAGE_SIZE - PAGE_SIZE,
    );
    assertEquals(pageOf(found), 512, "499 pages above are too few to align in");
    assertEquals(
      pageOf(list.findBottomUp(PAGE_SIZE, PAGE_SIZE, high, HPAGE_SIZE, 0)),
      512,
    );
  });
});

function pageOf(address: number | undefined): number | undefined {
  return address === undefined ? undefined : address / PAGE_SIZE;
}
