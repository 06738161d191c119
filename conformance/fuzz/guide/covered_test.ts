// SPDX-License-Identifier: GPL-2.0-only

/** What ran is known block by block. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { ScriptCoverage } from "./coverage.ts";
import { CoveredCode } from "./covered.ts";

/** Ranges with their counts: a function's own, and those of its blocks. */
type Ranges = readonly (readonly [start: number, end: number, count: number])[];

function script(url: string, ...functions: Ranges[]): ScriptCoverage {
  return {
    url,
    functions: functions.map((ranges) => ({
      ranges: ranges.map(([startOffset, endOffset, count]) => ({
        startOffset,
        endOffset,
        count,
      })),
    })),
  };
}

describe("the code that ran", () => {
  it("is new once", () => {
    const covered = new CoveredCode();
    const taken = [script("a", [[0, 10, 1]])];
    assertEquals(covered.isNew(taken), true);
    covered.add(taken);
    assertEquals(covered.isNew(taken), false);
  });

  it("is new where a block ran that did not", () => {
    const covered = new CoveredCode();
    covered.add([script("a", [[0, 10, 1], [4, 6, 0]])]);
    assertEquals(covered.isNew([script("a", [[0, 10, 1], [5, 9, 0]])]), true);
    assertEquals(covered.isNew([script("a", [[0, 10, 1], [4, 9, 0]])]), false);
  });

  it("is that of each script", () => {
    const covered = new CoveredCode();
    covered.add([script("a", [[0, 10, 1]])]);
    assertEquals(covered.isNew([script("b", [[0, 10, 1]])]), true);
  });

  it("has no function that is inside of another one and did not run", () => {
    const covered = new CoveredCode();
    covered.add([script("a", [[0, 100, 1]], [[20, 40, 0]])]);
    assertEquals(covered.isNew([script("a", [[20, 40, 1]])]), true);
  });

  it("is counted in blocks, by the edges that are known", () => {
    const [some, all] = [new CoveredCode(), new CoveredCode()];
    const holed = [script("a", [[0, 10, 1], [4, 6, 0]])];
    some.add(holed);
    all.add([script("a", [[0, 10, 1]])]);
    assertEquals(some.blocks(), 2);
    assertEquals(all.blocks(), 1);
    assertEquals(all.blocks(some), 3);
  });
});
