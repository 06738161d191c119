// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EFAULT, EINVAL, ENOMEM } from "../../../uapi/errno.ts";
import { HPAGE_SIZE, PAGE_SIZE } from "../../../uapi/mman.ts";
import { Frames, HPAGE_FRAMES } from "./frames.ts";
import { SimulatedObject } from "./memory_object.ts";
import { KernelBug } from "../../warn.ts";

describe("MemoryObject", () => {
  it("has pages up to its end and none beyond", () => {
    const object = new SimulatedObject(
      new Frames(HPAGE_SIZE * 2),
      PAGE_SIZE + 1,
      false,
    );
    assertEquals(object.frameAt(1), object.frameAt(1));
    assertEquals(assertThrows(() => object.frameAt(2)), EFAULT);
  });

  it("allocates a whole huge page at once", () => {
    const frames = new Frames(HPAGE_SIZE * 4);
    const object = new SimulatedObject(frames, HPAGE_SIZE, true);
    const pfn = object.frameAt(7);
    assertEquals(frames.used, HPAGE_FRAMES);
    assertEquals(pfn % HPAGE_FRAMES, 7);
    assertEquals(object.frameAt(0), pfn - 7);
  });

  it("drops what truncation cuts off, and zeroes the rest of the last page", () => {
    const frames = new Frames(HPAGE_SIZE * 2);
    const object = new SimulatedObject(frames, 0, false);
    object.write(0, new Uint8Array(3 * PAGE_SIZE).fill(1));
    assertEquals(frames.used, 3);
    object.truncate(PAGE_SIZE + 10);
    assertEquals(frames.used, 2);
    object.truncate(3 * PAGE_SIZE);
    const bytes = new Uint8Array(3 * PAGE_SIZE);
    assertEquals(object.read(0, bytes), 3 * PAGE_SIZE);
    assertEquals(bytes.lastIndexOf(1), PAGE_SIZE + 9);
  });

  it("refuses lengths that cut a huge page", () => {
    const object = new SimulatedObject(new Frames(HPAGE_SIZE * 4), 0, true);
    object.truncate(2 * HPAGE_SIZE);
    assertEquals(assertThrows(() => object.truncate(HPAGE_SIZE + 1)), EINVAL);
    assertEquals(object.size, 2 * HPAGE_SIZE);
  });

  it("reads holes as zeroes without filling them", () => {
    const frames = new Frames(HPAGE_SIZE * 2);
    const object = new SimulatedObject(frames, 0, false);
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
    const object = new SimulatedObject(frames, PAGE_SIZE, false);
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
    const object = new SimulatedObject(frames, 1e9, true);
    object.frameAt(0);
    const full = assertThrows(() => object.frameAt(HPAGE_FRAMES));
    assertEquals(full, ENOMEM);
  });
});
