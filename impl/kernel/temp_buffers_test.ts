// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { TempBuffers } from "./temp_buffers.ts";

describe("TempBuffers", () => {
  it("give a buffer out again that was given back, and no other", () => {
    const buffers = new TempBuffers();
    const first = buffers.take(1);
    assertEquals(buffers.take(1) === first, false);
    buffers.give(first);
    assertEquals(buffers.take(8192) === first, true);
  });

  it("make what is longer than Linux's for the one call", () => {
    const buffers = new TempBuffers();
    const long = buffers.take(8193);
    assertEquals(long.length, 8193);
    buffers.give(long);
    assertEquals(buffers.take(8193) === long, false);
    assertEquals(buffers.take(1) === long, false);
  });
});
