// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { formatAims } from "./aims.ts";
import { type Figures, figuresOf } from "./figures.ts";
import { allScenarios } from "../operations.ts";

/** All operations took `milliseconds`, `ratio` times their floors. */
function report(milliseconds: number, ratio: number): Map<string, Figures> {
  const times = Float64Array.of(milliseconds);
  const floor = Float64Array.of(milliseconds / ratio);
  return new Map(
    allScenarios().flatMap(({ operations }) => Object.values(operations)).map(
      (operation) => {
        const figures = figuresOf({ operation, times, floor });
        return [figures.name, figures];
      },
    ),
  );
}

/** The last column. */
function verdicts(text: string): string[] {
  return text.trimEnd().split("\n").slice(2).map((line) =>
    line.split("|").at(-2)!.trim()
  );
}

const AREAS = new Map(
  ["no domain", "1 domain"].map((domains) => [
    `fixed IOAS_MAP until there are all, ${domains}, 100,000 areas`,
    601,
  ]),
);

describe("formatAims()", () => {
  it("finds all operations that the aims are about", () => {
    const text = formatAims({ figures: report(1, 1), areaBytes: AREAS });
    assert(!text.includes("not measured"), text);
  });

  it("says which aims are met and which are not", () => {
    const fast = formatAims({ figures: report(1e-6, 4), areaBytes: new Map() });
    const yes = (count: number) => Array(count).fill("yes");
    // A floor as short as these is none to compare with.
    assertEquals(verdicts(fast), [...yes(2), "", ...yes(14), "", ""]);
    const slow = formatAims({ figures: report(1e3, 4.1), areaBytes: AREAS });
    const factors = [5, 6, 9, 10, 16]; // quotients of equal times
    assertEquals(
      verdicts(slow),
      Array.from({ length: 19 }, (_, i) => factors.includes(i) ? "yes" : "no"),
    );
  });

  it("says what was not measured", () => {
    const text = formatAims({ figures: new Map(), areaBytes: new Map() });
    assertEquals(text.match(/not measured/g)?.length, 19);
  });
});
