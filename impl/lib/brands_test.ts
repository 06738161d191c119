// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { max, min, pfnOf, plus, toIova } from "./brands.ts";
import { U64_MAX } from "./u64.ts";

describe("an IOVA as a number", () => {
  it("is taken if it is exact, and refused if it would be rounded", () => {
    const granule = 2048n;
    for (const iova of [0n, 1n, 2n ** 53n, U64_MAX - granule + 1n]) {
      assertEquals(BigInt(toIova(iova)), iova);
    }
    for (const iova of [-1n, 2n ** 53n + 1n, 0xfffffffffffff010n, U64_MAX]) {
      assertThrows(() => toIova(iova), RangeError, "not exact");
    }
    assertThrows(() => toIova(2n ** 64n), RangeError);
  });

  it("is compared and moved as a number", () => {
    const [low, high] = [toIova(4096n), toIova(8192n)];
    assertEquals(plus(low, 4096), high);
    assertEquals([min(low, high), max(low, high)], [low, high]);
    assertEquals([min(high, low), max(high, low)], [low, high]);
  });
});

describe("the frame of a physical address", () => {
  it("is the one that the byte lies in", () => {
    assertEquals([0, 4095, 4096, 2 ** 40 + 1].map(pfnOf), [0, 0, 1, 2 ** 28]);
  });
});
