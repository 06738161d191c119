// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { abridge, table } from "./text/table.ts";
import { bytes, count, range } from "./units.ts";

describe("bytes()", () => {
  const cases: [bigint, string][] = [
    [0n, "0 B"],
    [1n, "1 B"],
    [1023n, "1023 B"],
    [1024n, "1 KiB"],
    [1536n, "1.5 KiB"],
    [1537n, "~1.5 KiB"],
    [2n ** 64n, "16 EiB"],
    [2n ** 64n - 1n, "~15.99 EiB"],
    [2n ** 31n - 2n ** 24n, "~1.98 GiB"],
  ];
  for (const [length, text] of cases) {
    it(`writes ${length} as ${text}`, () => assertEquals(bytes(length), text));
  }
});

describe("count()", () => {
  it("chooses the noun and groups thousands", () => {
    assertEquals(count(1, "area"), "1 area");
    assertEquals(count(0, "area"), "0 areas");
    assertEquals(count(1234567, "access", "accesses"), "1,234,567 accesses");
  });
});

describe("range()", () => {
  it("writes one number for one", () => {
    assertEquals([range(3, 3), range(3, 4)], ["3", "3-4"]);
  });
});

describe("abridge()", () => {
  it("hides two items or more, never one", () => {
    const shown = (items: number[]) =>
      abridge(items, 2, String, (hidden) => `(${hidden})`);
    assertEquals(shown([1, 2, 3, 4, 5, 6]), ["1", "2", "(3,4)", "5", "6"]);
    assertEquals(shown([1, 2, 3, 4, 5]), ["1", "2", "3", "4", "5"]);
  });
});

describe("table()", () => {
  it("aligns cells, lets the rest run on, and ends no line with blanks", () => {
    const rows = [
      { cells: ["a", "1"], rest: "long text" },
      { cells: ["bbb", "22"] },
      { cells: ["c", ""] },
    ];
    assertEquals(
      table(rows, { indent: "> ", right: [1] }),
      ["> a     1  long text", "> bbb  22", "> c"],
    );
  });
});
