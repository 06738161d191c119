// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { Device } from "./device.ts";
import {
  getGroupResvRegions,
  getResvRegions,
  type ResvRegion,
  type ResvType,
} from "./resv.ts";
import { groupOfTwo } from "./testing/test_driver.ts";

const TYPES: readonly ResvType[] = [
  "direct",
  "direct-relaxable",
  "reserved",
  "msi",
  "sw-msi",
];

function region(start: number, length: number, type: ResvType): ResvRegion {
  return { start: BigInt(start), length: BigInt(length), type };
}

describe("reserved regions", () => {
  it("of a device come as the driver gives them", () => {
    const { ops, a } = groupOfTwo();
    assertEquals(getResvRegions(a), []);
    a.resv.push(region(9, 1, "msi"), region(1, 1, "msi"));
    assertEquals(getResvRegions(a), a.resv);
    assertEquals(getResvRegions(new Device(ops.iommu, "bare", null)), []);
  });

  it("of a group are sorted by start, then type", () => {
    const { a, b, group } = groupOfTwo();
    a.resv.push(region(100, 10, "sw-msi"), region(50, 10, "msi"));
    b.resv.push(region(100, 10, "direct"), region(0, 10, "reserved"));
    assertEquals(getGroupResvRegions(group), [
      region(0, 10, "reserved"),
      region(50, 10, "msi"),
      region(100, 10, "direct"),
      region(100, 10, "sw-msi"),
    ]);
  });

  it("of one type are merged where they overlap or touch, others stay", () => {
    const { a, b, group } = groupOfTwo();
    a.resv.push(region(0, 10, "msi"), region(5, 20, "reserved"));
    b.resv.push(region(10, 10, "msi"), region(21, 4, "msi"));
    assertEquals(getGroupResvRegions(group), [
      region(0, 20, "msi"),
      region(5, 20, "reserved"),
      region(21, 4, "msi"),
    ]);
  });

  it("of a group cover, per type, exactly what the devices' cover", () => {
    const regions = fc.array(
      fc.tuple(
        fc.integer({ min: 0, max: 60 }),
        fc.integer({ min: 1, max: 20 }),
        fc.constantFrom(...TYPES),
      ),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(regions, (list) => {
        const { a, b, group } = groupOfTwo();
        for (const [i, [start, length, type]] of list.entries()) {
          (i % 2 === 0 ? a : b).resv.push(region(start, length, type));
        }
        const merged = getGroupResvRegions(group);
        for (const type of TYPES) {
          const all = [...a.resv, ...b.resv].filter((r) => r.type === type);
          const out = merged.filter((r) => r.type === type);
          assertEquals(cover(out), cover(all));
          // Nothing left to merge: each begins past the end of the one before.
          for (const [i, cur] of out.entries()) {
            const prev = out[i - 1];
            if (prev === undefined) continue;
            assertEquals(cur.start > prev.start + prev.length, true);
          }
        }
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  it("would be seen to differ", () => {
    assertNotEquals(
      cover([region(0, 2, "msi")]),
      cover([region(0, 3, "msi")]),
    );
  });
});

/** Which of the first 100 addresses are reserved. */
function cover(regions: readonly ResvRegion[]): boolean[] {
  const covered = new Array<boolean>(100).fill(false);
  for (const { start, length } of regions) {
    covered.fill(true, Number(start), Number(start + length));
  }
  return covered;
}
