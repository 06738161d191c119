// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type Panel, renderChart, spread } from "./chart.ts";
import { figuresOf } from "./figures.ts";
import { allScenarios } from "../operations.ts";
import { chartPanels } from "./panels.ts";
import { formatTable, formatTime } from "./table.ts";

const PANEL: Panel = {
  title: "Time <against> size",
  axis: "bytes",
  ticks: [1, 100],
  formatSize: String,
  curves: [
    {
      label: "grows",
      points: [{ size: 1, time: 0.001 }, { size: 100, time: 0.1 }],
    },
    {
      label: "flat",
      points: [{ size: 1, time: 0.1 }, { size: 100, time: 0.1 }],
    },
  ],
};

/** A figure of one millisecond for each operation. */
function allFigures() {
  return allScenarios().flatMap(({ operations, floor }) => {
    const floors = floor?.() ?? {};
    return Object.entries(operations).map(([key, operation]) =>
      figuresOf({
        operation,
        times: Float64Array.of(1),
        floor: key in floors ? Float64Array.of(0.5) : undefined,
      })
    );
  });
}

describe("renderChart()", () => {
  it("draws decades equally far apart", () => {
    const svg = renderChart([PANEL]);
    const [grows] = [...svg.matchAll(/<path d="M ([\d. L]+)" fill="none"/g)];
    const [x1, y1, x2, y2] = grows![1]!.replace("L", "").trim().split(/\s+/)
      .map(Number);
    assert(x2! > x1! && y2! < y1!, grows![1]);
    const ticks = [...svg.matchAll(/x="66" y="([\d.]+)"/g)].map(([, y]) =>
      Number(y)
    );
    assertEquals(ticks.length, 3); // 1, 10 and 100 µs
    assertEquals(ticks[0]! - ticks[1]!, ticks[1]! - ticks[2]!);
  });

  it("escapes text", () => {
    assert(renderChart([PANEL]).includes("Time &lt;against> size"));
  });

  it("shows series that exist", () => {
    const panels = chartPanels(allFigures());
    assertEquals(panels.map(({ curves }) => curves.length), [10, 5]);
    const svg = renderChart(panels);
    assert(!svg.includes("NaN"));
  });

  it("leaves out what was not measured", () => {
    assertEquals(chartPanels([]), []);
  });
});

describe("spread()", () => {
  it("keeps labels that do not touch, and moves the others apart in their order", () => {
    assertEquals(spread([100, 300, 200]), [100, 300, 200]);
    const placed = spread([100, 101, 99]);
    assertEquals(placed, [113, 127, 99]);
  });

  it("stays above the lower edge", () => {
    assertEquals(spread([460, 460]), [446, 460]);
  });
});

describe("formatTime()", () => {
  it("has three digits and the unit that fits", () => {
    assertEquals(
      [1.234e-6, 0.00105, 0.9996, 12.345, 123456].map(formatTime),
      ["1.23 ns", "1.05 µs", "1.00 ms", "12.3 ms", "123 s"],
    );
  });
});

describe("formatTable()", () => {
  it("has a row for each operation, with what is known of it", () => {
    const name = "fixed IOAS_MAP until there are all, no domain, 1,000 areas";
    const table = formatTable(allFigures(), new Map([[name, 500.4]]));
    const rows = table.trimEnd().split("\n");
    assertEquals(rows.length, allFigures().length + 2);
    assertEquals(new Set(rows.map((row) => row.length)).size, 1);
    const row = rows.find((row) => row.includes(name))!;
    assert(row.includes(" 500 |"), row);
    const map = "IOAS_MAP, 4 KiB pages, 1 domain, 64 MiB";
    const cells = rows.find((row) => row.includes(map))!.split("|").map((
      cell,
    ) => cell.trim());
    assertEquals(cells.slice(2), [
      "1.00 ms",
      "1.00 ms",
      "61.0 ns",
      "2.0",
      "0.00",
      "",
      "650 µs",
      "",
    ]);
  });
});
