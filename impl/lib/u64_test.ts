// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { KernelBug } from "./kernel_bug.ts";
import {
  alignDown,
  alignUp,
  lowestBit,
  roundUpPowerOfTwo,
  U64_MAX,
} from "./u64.ts";

const u64 = fc.bigInt({ min: 0n, max: U64_MAX });
const powerOfTwo = fc.integer({ min: 0, max: 63 }).map((bit) =>
  1n << BigInt(bit)
);

describe("alignUp and alignDown", () => {
  it("give the nearest multiples around a value", () => {
    fc.assert(
      fc.property(u64, powerOfTwo, (value, alignment) => {
        const up = alignUp(value, alignment);
        const down = alignDown(value, alignment);
        assertEquals(up % alignment, 0n);
        assertEquals(down % alignment, 0n);
        assertEquals(up >= value && up - value < alignment, true);
        assertEquals(down <= value && value - down < alignment, true);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it("alignUp goes to 2^64 where no 64-bit value is left", () => {
    assertEquals(alignUp(U64_MAX, 4096n), 2n ** 64n);
    assertEquals(alignUp(U64_MAX, 1n), U64_MAX);
  });
});

describe("lowestBit", () => {
  it("is the largest power of two that divides the value", () => {
    assertEquals(lowestBit(1n), 1n);
    assertEquals(lowestBit(0x7000n), 0x1000n);
    assertEquals(lowestBit(1n << 63n), 1n << 63n);
    assertThrows(() => lowestBit(0n), KernelBug);
  });
});

describe("roundUpPowerOfTwo", () => {
  it("is the lowest power of two that is not below the value", () => {
    fc.assert(
      fc.property(
        fc.oneof(u64, powerOfTwo, powerOfTwo.map((bit) => bit + 1n)),
        (value) => {
          fc.pre(value > 0n);
          let expected = 1n;
          while (expected < value) expected *= 2n;
          assertEquals(roundUpPowerOfTwo(value), expected);
        },
      ),
      { seed: 1, numRuns: 500 },
    );
    assertThrows(() => roundUpPowerOfTwo(0n), KernelBug);
  });
});
