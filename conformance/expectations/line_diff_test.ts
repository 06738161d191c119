// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "@std/testing/bdd";
import { lineDiff } from "./line_diff.ts";

describe("lineDiff()", () => {
  it("is empty when nothing changed", () => {
    assertEquals(lineDiff("a\nb\n", "a\nb\n"), "");
  });

  it("shows changes with a little of what is around them", () => {
    const before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
    assertEquals(
      lineDiff(before, "1\n2\n3\n4\nfive\n6\n7\n8\n9\n"),
      "…\n  3\n  4\n- 5\n+ five\n  6\n  7\n…\n",
    );
  });

  it("shows all of a new text", () => {
    assertEquals(lineDiff("", "a\nb\n"), "+ a\n+ b\n");
    assertEquals(lineDiff("a\nb\n", ""), "- a\n- b\n");
  });

  it("leads from one text to the other", () => {
    const lines = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 6 });
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const text = (each: string[]) =>
          each.map((line) => `${line}\n`).join("");
        const edits = lineDiff(text(before), text(after)).split("\n")
          .filter((line) => line !== "");
        // Changed texts this short are shown with all their lines but for the gaps.
        const count = (mark: string) =>
          edits.filter((line) => line.startsWith(mark)).length;
        assertEquals(before.length - count("-"), after.length - count("+"));
        assertEquals(edits.length === 0, text(before) === text(after));
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});
