// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { makeFrameList } from "../../../lib/frame_list.ts";
import { EFAULT, ENOMEM } from "../../../uapi/errno.ts";
import { HPAGE_SIZE, PAGE_SIZE } from "../../../uapi/mman.ts";
import { Frames, HPAGE_FRAMES } from "./frames.ts";
import { SimulatedObject } from "./memory_object.ts";
import { KernelBug } from "../../warn.ts";

describe("MemoryObject", () => {
  it("has pages up to its end and none beyond", () => {
    const object = new SimulatedObject(
      new Frames(HPAGE_SIZE * 2),
      PAGE_SIZE + 1,
    );
    assertEquals(object.frameAt(1), object.frameAt(1));
    assertEquals(assertThrows(() => object.frameAt(2)), EFAULT);
  });

  it("has huge pages behind its end that were allocated there, and no small ones", () => {
    for (
      const [pageSize, isThere] of [[PAGE_SIZE, false], [HPAGE_SIZE, true]]
    ) {
      const object = new SimulatedObject(
        new Frames(HPAGE_SIZE * 4),
        0,
        pageSize as number,
      );
      object.allocate(0, 1);
      if (isThere) assertEquals(object.frameAt(0) % HPAGE_FRAMES, 0);
      else assertEquals(assertThrows(() => object.frameAt(0)), EFAULT);
    }
  });

  it("has no part of a huge page that was not allocated", () => {
    const object = new SimulatedObject(
      new Frames(HPAGE_SIZE * 4),
      HPAGE_SIZE + PAGE_SIZE,
      HPAGE_SIZE,
    );
    object.frameAt(HPAGE_FRAMES - 1);
    assertEquals(assertThrows(() => object.frameAt(HPAGE_FRAMES)), EFAULT);
  });

  it("allocates a whole huge page at once", () => {
    const frames = new Frames(HPAGE_SIZE * 4);
    const object = new SimulatedObject(frames, HPAGE_SIZE, HPAGE_SIZE);
    const pfn = object.frameAt(7);
    assertEquals(frames.used, HPAGE_FRAMES);
    assertEquals(pfn % HPAGE_FRAMES, 7);
    assertEquals(object.frameAt(0), pfn - 7);
  });

  it("drops what truncation cuts off, and zeroes the rest of the last page", () => {
    const frames = new Frames(HPAGE_SIZE * 2);
    const object = new SimulatedObject(frames, 0);
    object.write(0, new Uint8Array(3 * PAGE_SIZE).fill(1));
    assertEquals(frames.used, 3);
    object.truncate(PAGE_SIZE + 10);
    assertEquals(frames.used, 2);
    object.truncate(3 * PAGE_SIZE);
    const bytes = new Uint8Array(3 * PAGE_SIZE);
    assertEquals(object.read(0, bytes), 3 * PAGE_SIZE);
    assertEquals(bytes.lastIndexOf(1), PAGE_SIZE + 9);
  });

  it("drops the whole pages of a hole and zeroes the others' parts", () => {
    const frames = new Frames(HPAGE_SIZE * 2);
    const object = new SimulatedObject(frames, 0);
    object.write(0, new Uint8Array(4 * PAGE_SIZE).fill(1));
    object.punch(10, 20);
    assertEquals(frames.used, 4);
    object.punch(PAGE_SIZE - 1, 3 * PAGE_SIZE + 1);
    assertEquals([frames.used, object.size], [2, 4 * PAGE_SIZE]);
    const bytes = new Uint8Array(4 * PAGE_SIZE);
    object.read(0, bytes);
    const zeroes = [10, 20, PAGE_SIZE - 1, 3 * PAGE_SIZE + 1];
    const around = zeroes.flatMap((at) => [bytes[at - 1], bytes[at]]);
    assertEquals(around, [1, 0, 0, 1, 1, 0, 0, 1]);
    assertEquals(bytes.subarray(10, 20), new Uint8Array(10));
  });

  it("drops huge pages whole", () => {
    const frames = new Frames(HPAGE_SIZE * 8);
    const object = new SimulatedObject(frames, 3 * HPAGE_SIZE, HPAGE_SIZE);
    object.allocate(0, 3 * HPAGE_FRAMES);
    assertEquals(frames.used, 3 * HPAGE_FRAMES);
    object.write(0, Uint8Array.of(1, 1));
    object.punch(1, HPAGE_SIZE + PAGE_SIZE);
    assertEquals(frames.used, 3 * HPAGE_FRAMES, "no page is in it whole");
    const bytes = new Uint8Array(2);
    object.read(0, bytes);
    assertEquals([...bytes], [1, 0]);
    object.punch(PAGE_SIZE, 3 * HPAGE_SIZE - 1);
    assertEquals(frames.used, 2 * HPAGE_FRAMES);
  });

  it("allocates all pages or none", () => {
    const frames = new Frames(HPAGE_SIZE * 4);
    const object = new SimulatedObject(frames, 0, HPAGE_SIZE);
    object.extend(HPAGE_SIZE);
    object.frameAt(0);
    const full = assertThrows(() => object.allocate(0, 5 * HPAGE_FRAMES));
    assertEquals(full, ENOMEM);
    assertEquals(frames.used, HPAGE_FRAMES, "the first was there before");
    object.allocate(0, 2 * HPAGE_FRAMES);
    assertEquals(frames.used, 2 * HPAGE_FRAMES);
  });

  it("knows whether one of its pages is pinned", () => {
    const frames = new Frames(HPAGE_SIZE * 2);
    const object = new SimulatedObject(frames, 2 * PAGE_SIZE);
    object.allocate(0, 2);
    const list = makeFrameList(1);
    assertEquals(object.isPinned(), false);
    assertEquals(object.pin(1, 1, list), 1);
    assertEquals(object.isPinned(), true);
    object.punch(PAGE_SIZE, 2 * PAGE_SIZE);
    assertEquals(object.isPinned(), false, "it is not its page any more");
    assertEquals(frames.pins(list.pfns[0]!), 1);
    frames.unpinRuns(list, 0, 1);
    assertEquals(frames.used, 1);
  });

  it("reads holes as zeroes without filling them", () => {
    const frames = new Frames(HPAGE_SIZE * 2);
    const object = new SimulatedObject(frames, 0);
    object.write(PAGE_SIZE, Uint8Array.of(5));
    const bytes = new Uint8Array(PAGE_SIZE + 9).fill(9);
    assertEquals(object.read(0, bytes), PAGE_SIZE + 1);
    assertEquals(bytes[0], 0);
    assertEquals(bytes[PAGE_SIZE], 5);
    assertEquals(bytes[PAGE_SIZE + 1], 9, "beyond the end nothing is stored");
    assertEquals(frames.used, 1);
  });

  it("keeps its pages while someone holds it", () => {
    const frames = new Frames(HPAGE_SIZE * 2);
    const object = new SimulatedObject(frames, PAGE_SIZE);
    object.frameAt(0);
    object.get().put();
    assertEquals(frames.used, 1);
    object.put();
    assertEquals(frames.used, 0);
    assertThrows(() => object.get(), KernelBug);
    assertThrows(() => object.put(), KernelBug);
  });

  it("fails with ENOMEM when no frame is left", () => {
    const frames = new Frames(HPAGE_SIZE * 2);
    const object = new SimulatedObject(frames, 1e9, HPAGE_SIZE);
    object.frameAt(0);
    const full = assertThrows(() => object.frameAt(HPAGE_FRAMES));
    assertEquals(full, ENOMEM);
  });
});
