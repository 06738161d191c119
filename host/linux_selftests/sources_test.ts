// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type Removal, repairOf, without } from "./sources.ts";

const REMOVAL: Removal = {
  file: "iommufd.c",
  what: "a test",
  lines: /\ttest\(\w+\);\n/,
};

describe("lines that do not compile", () => {
  it("are taken out, and nothing else", () => {
    assertEquals(without("a\n\ttest(x);\nb\n", REMOVAL), "a\nb\n");
  });

  it("must be there, once", () => {
    const twice = "\ttest(x);\n\ttest(y);\n";
    for (const text of ["a\nb\n", twice]) {
      assertThrows(() => without(text, REMOVAL), Error, "not once");
    }
  });

  it("are of 6.12 alone", () => {
    assertEquals(repairOf("7.3").removals, []);
    assertEquals(repairOf("6.12").removals.length, 5);
  });
});
