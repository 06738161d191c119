// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type Bands, compare, operationsOf, record } from "./bands.ts";
import bandsFile from "../bands.json" with { type: "json" };
import { type Figures, figuresOf, growth, smallerOnes } from "./figures.ts";
import { allScenarios } from "../operations.ts";
import { operationName, type Size } from "../measuring/scenario.ts";

const SERIES = "map";
const MIB = 1024 * 1024;

/** Figures of an operation of so many MiB. */
function figures(mib: number, times: number[], floor?: number[]): Figures {
  const size: Size = { value: mib * MIB, unit: "bytes" };
  return figuresOf({
    operation: { series: SERIES, size, calls: 1, pages: mib * 256 },
    times: Float64Array.from(times).sort(),
    floor: floor && Float64Array.from(floor).sort(),
  });
}

const ONE = figures(1, [4, 2, 3], [1]);
const HUNDRED = figures(100, [200], [100]);

const BANDS: Bands = {
  ratios: { "map, 1 MiB": [1, 2.5] },
  growth: [{ from: "map, 1 MiB", to: "map, 100 MiB", band: [0.9, 1.1] }],
};

describe("figures", () => {
  it("are the median, the fastest round, and that per page and over the floor", () => {
    const { median, best, perPage, ratio, name } = ONE;
    assertEquals([median, best, perPage, ratio], [3, 2, 2 / 256, 2]);
    assertEquals(name, "map, 1 MiB");
  });

  it("take the mean of the two middle rounds of an even number", () => {
    assertEquals(figures(1, [1, 10, 2, 3]).median, 2.5);
  });

  it("have no ratio without a floor", () => {
    assertEquals(figures(1, [1]).ratio, undefined);
  });

  it("grow with the power of the size", () => {
    assertEquals(growth(ONE, HUNDRED), 1);
    assertEquals(growth(ONE, figures(100, [2])), 0);
    assertEquals(growth(ONE, figures(100, [20_000])), 2);
  });

  it("are compared with the next smaller one of their series only", () => {
    const other = figuresOf({
      operation: { ...ONE.operation, series: "unmap" },
      times: Float64Array.of(1),
      floor: undefined,
    });
    const smaller = smallerOnes([ONE, other, HUNDRED]);
    assertEquals([...smaller], [[HUNDRED, ONE]]);
  });
});

describe("compare()", () => {
  it("accepts what is inside of the bands", () => {
    const checks = compare(BANDS, [ONE, HUNDRED]);
    assertEquals(checks.map(({ ok }) => ok), [true, true]);
  });

  it("refuses a ratio above and below its band", () => {
    for (const time of [0.9, 2.6]) {
      const [ratio] = compare(BANDS, [figures(1, [time], [1]), HUNDRED]);
      assertEquals(ratio!.ok, false);
      assertEquals(ratio!.operations, ["map, 1 MiB"]);
    }
  });

  it("refuses four times the floor of many pages, whatever the band", () => {
    const bands: Bands = { ratios: { "map, 100 MiB": [1, 9] }, growth: [] };
    const verdict = (milliseconds: number, floor: number) =>
      compare(bands, [figures(100, [milliseconds], [floor])])[0]!.ok;
    assertEquals([verdict(4, 1), verdict(4.1, 1)], [true, false]);
    // This floor is shorter than a system call.
    assertEquals(verdict(0.0041, 0.0009), true);
    const few: Bands = { ratios: { "map, 1 MiB": [1, 9] }, growth: [] };
    assertEquals(compare(few, [figures(1, [8], [1])])[0]!.ok, true);
  });

  it("refuses growth outside of its band, and names both operations", () => {
    const [, found] = compare(BANDS, [ONE, figures(100, [2000], [1])]);
    assertEquals(found!.ok, false);
    assertEquals(found!.value.toFixed(3), "1.500");
    assertEquals(found!.operations, ["map, 1 MiB", "map, 100 MiB"]);
  });

  it("refuses what was not measured", () => {
    assertEquals(compare(BANDS, []).map(({ ok }) => ok), [false, false]);
  });
});

describe("record()", () => {
  it("puts bands around what was measured, which then lies inside", () => {
    const all = [figures(1, [8], [1]), figures(100, [4], [1])];
    assert(compare(BANDS, all).every(({ ok }) => !ok));
    const recorded = record(BANDS, all);
    assertEquals(Object.keys(recorded.ratios), Object.keys(BANDS.ratios));
    assert(compare(recorded, all).every(({ ok }) => ok));
  });
});

describe("bands.json", () => {
  const bands = bandsFile as unknown as Bands;

  it("names operations that exist", () => {
    const names = new Set(
      allScenarios().flatMap(({ operations }) =>
        Object.values(operations).map(operationName)
      ),
    );
    for (const name of operationsOf(bands)) assert(names.has(name), name);
  });

  it("has no band so wide that a loop could become three times as slow unseen", () => {
    for (const [name, [low, high]] of Object.entries(bands.ratios)) {
      assert(low > 0 && high / low < 6, name);
    }
    for (const { from, band: [low, high] } of bands.growth) {
      assert(high - low < 1.2, from);
      assert(high < 2, from); // quadratic
    }
  });
});
