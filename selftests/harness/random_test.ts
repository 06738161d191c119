// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Random } from "./random.ts";

describe("Random", () => {
  it("gives the same stream for the same seed, another for another", () => {
    assertEquals(new Random(1).bytes(64), new Random(1).bytes(64));
    assertNotEquals(new Random(1).bytes(64), new Random(2).bytes(64));
  });

  it("stays below its bound and reaches every value", () => {
    const random = new Random(3);
    const seen = new Set<number>();
    for (let i = 0; i < 1000; i++) seen.add(random.below(7));
    assertEquals([...seen].sort(), [0, 1, 2, 3, 4, 5, 6]);
  });

  it("shuffles without losing anything", () => {
    const items = Array.from({ length: 50 }, (_, i) => i);
    const shuffled = [...items];
    new Random(4).shuffle(shuffled);
    assert(shuffled.some((item, index) => item !== index));
    assertEquals(shuffled.sort((a, b) => a - b), items);
  });
});
