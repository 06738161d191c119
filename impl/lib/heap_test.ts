// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { popLowest, pushHeap } from "./heap.ts";

/** An array that counts how often its entries are looked at. */
function counted(steps: { count: number }): number[] {
  return new Proxy<number[]>([], {
    get(array, key) {
      steps.count++;
      return Reflect.get(array, key);
    },
  });
}

describe("a min-heap", () => {
  it("gives numbers back lowest first", () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { maxLength: 60 }), (numbers) => {
        const heap: number[] = [];
        for (const number of numbers) pushHeap(heap, number);
        const sorted: number[] = [];
        while (heap.length > 0) {
          sorted.push(heap[0]!);
          popLowest(heap);
        }
        assertEquals(sorted, [...numbers].sort((a, b) => a - b));
      }),
      { seed: 1 },
    );
  });

  it("looks at few of many numbers", () => {
    const steps = { count: 0 };
    const heap = counted(steps);
    for (let i = 0; i < 4096; i++) pushHeap(heap, 4096 - i);
    steps.count = 0;
    for (let i = 0; i < 4096; i++) popLowest(heap);
    assert(steps.count < 4096 * 12 * 6, `${steps.count} steps`);
  });
});
