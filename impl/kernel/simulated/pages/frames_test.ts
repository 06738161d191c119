// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ENOMEM } from "../../../uapi/errno.ts";
import { HPAGE_SIZE, PAGE_SIZE } from "../../../uapi/mman.ts";
import { KernelBug } from "../../warn.ts";
import { Frames, HPAGE_FRAMES } from "./frames.ts";
import { ZERO_PFN } from "./private_pages.ts";

/** The bytes of a frame. */
function contents(frames: Frames, pfn: number): Uint8Array {
  const bytes = new Uint8Array(PAGE_SIZE).fill(0xee);
  frames.read(pfn, 0, bytes);
  return bytes;
}

describe("Frames", () => {
  it("copy bytes in and out, few and many, and hand none out", () => {
    const frames = new Frames(HPAGE_SIZE);
    const pfn = frames.alloc();
    const expected = new Uint8Array(PAGE_SIZE);
    for (const [offset, length] of [[0, 1], [4095, 1], [7, 32], [100, 33]]) {
      const bytes = new Uint8Array(length!).map((_, i) => offset! + i + 1);
      frames.write(pfn, offset!, bytes);
      expected.set(bytes, offset);
      bytes.fill(0);
      assertEquals(contents(frames, pfn), expected);
      frames.read(pfn, offset!, bytes);
      assertEquals(bytes, expected.slice(offset, offset! + length!));
    }
    contents(frames, pfn).fill(9);
    assertEquals(contents(frames, pfn), expected);
  });

  it("that follow each other are copied in one go", () => {
    const frames = new Frames(HPAGE_SIZE);
    const pfn = frames.alloc();
    const pfns = [pfn, frames.alloc(), frames.alloc()];
    assertEquals(pfns, [pfn, pfn + 1, pfn + 2]);
    const bytes = new Uint8Array(2 * PAGE_SIZE).map((_, i) => i % 251);
    frames.write(pfn, 100, bytes);
    const all = new Uint8Array(3 * PAGE_SIZE);
    all.set(bytes, 100);
    pfns.forEach((pfn, i) => {
      const page = all.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE);
      assertEquals(contents(frames, pfn), page);
    });
    const part = new Uint8Array(PAGE_SIZE + 2);
    frames.read(pfn, PAGE_SIZE - 1, part);
    assertEquals(part, all.slice(PAGE_SIZE - 1, 2 * PAGE_SIZE + 1));
  });

  it("refuse a write to the zero page, and to a frame that nobody has", () => {
    const frames = new Frames(HPAGE_SIZE);
    const pfn = frames.alloc();
    frames.put(pfn);
    for (const bad of [ZERO_PFN, pfn, -1, frames.count, 0.5, NaN]) {
      const write = () => frames.write(bad, 0, Uint8Array.of(1));
      assertThrows(write, KernelBug, "nobody has it");
      assertThrows(() => frames.setBits(bad, 0, 1), KernelBug);
    }
    const other = new Frames(HPAGE_SIZE);
    for (const each of [frames, other]) {
      assertEquals(contents(each, ZERO_PFN), new Uint8Array(PAGE_SIZE));
    }
  });

  it("are put and unpinned no more often than they were taken", () => {
    const frames = new Frames(HPAGE_SIZE);
    const pfn = frames.alloc();
    assertThrows(() => frames.put(pfn, 2), KernelBug, "count falls to -1");
    assertThrows(() => frames.unpinRange(pfn, 1), KernelBug, "not pinned");
    const other = frames.alloc();
    frames.put(other);
    assertThrows(() => frames.put(other), KernelBug, "count falls to -1");
  });

  it("that are scattered are as many as those in order", () => {
    for (const order of ["ordered", { scattered: 7 }] as const) {
      const frames = new Frames(2 * HPAGE_SIZE, order);
      const all = Array.from({ length: 1023 }, () => frames.alloc());
      assertEquals(new Set(all).size, 1023);
      assertEquals(assertThrows(() => frames.alloc()), ENOMEM);
    }
  });

  it("forget what was written when they are freed or cleared", () => {
    const frames = new Frames(HPAGE_SIZE);
    const pfn = frames.alloc();
    const ones = new Uint8Array(PAGE_SIZE).fill(1);
    frames.write(pfn, 0, ones);
    frames.put(pfn);
    assertEquals(frames.alloc(), pfn);
    assertEquals(contents(frames, pfn), new Uint8Array(PAGE_SIZE));
    frames.write(pfn, 0, ones);
    frames.clear(pfn, 1, PAGE_SIZE - 2);
    const expected = new Uint8Array(PAGE_SIZE);
    expected[0] = expected[PAGE_SIZE - 2] = expected[PAGE_SIZE - 1] = 1;
    assertEquals(contents(frames, pfn), expected);
    assertEquals(frames.firstNonZero(pfn, 1, PAGE_SIZE), PAGE_SIZE - 2);
    assertEquals(frames.firstNonZero(pfn, 1, 9), 9);
    frames.clear(pfn, 0, PAGE_SIZE);
    assertEquals(frames.firstNonZero(pfn, 0, PAGE_SIZE), PAGE_SIZE);
    frames.write(pfn, 3, Uint8Array.of(5));
    assertEquals(contents(frames, pfn)[3], 5);
  });

  it("set the bits of a range, and leave the others", () => {
    const frames = new Frames(HPAGE_SIZE);
    for (const [first, last] of [[0, 0], [5, 6], [7, 8], [9, 30], [0, 32767]]) {
      const pfn = frames.alloc();
      frames.write(pfn, 4, Uint8Array.of(0x81));
      frames.setBits(pfn, first!, last!);
      const bytes = contents(frames, pfn);
      for (const bit of [...Array(48).keys(), 32767]) {
        const set = bit >= first! && bit <= last! || bit === 32 || bit === 39;
        const actual = (bytes[bit >> 3]! >> (bit & 7)) & 1;
        assertEquals(actual === 1, set, `bit ${bit} of ${first} to ${last}`);
      }
    }
  });

  it("of a huge page come and go together", () => {
    const frames = new Frames(2 * HPAGE_SIZE);
    const head = frames.allocHuge();
    assertEquals(head % HPAGE_FRAMES, 0);
    assertEquals(frames.isCompound(head + 511), true);
    assertEquals(frames.isCompound(frames.alloc()), false);
    assertEquals(assertThrows(() => frames.allocHuge()), ENOMEM);
    for (let i = 1; i < HPAGE_FRAMES; i++) frames.put(head + i);
    assertEquals(assertThrows(() => frames.allocHuge()), ENOMEM);
    frames.put(head);
    assertEquals(frames.isCompound(head), false);
    assertEquals(frames.allocHuge(), head);
  });
});
