// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { Glob } from "./glob.ts";

describe("Glob", () => {
  const cases: [pattern: string, id: string, matches: boolean][] = [
    ["a.b.c", "a.b.c", true],
    ["a.b.c", "a.b.cd", false],
    ["a.b", "a.b.c", true],
    ["a", "a.b.c", true],
    ["a", "ab.c", false],
    ["b.c", "a.b.c", false],
    ["*.c", "a.b.c", true],
    ["*c", "a.b.c", true],
    ["a*c", "a.b.c", true],
    ["a*", "abc.d", true],
    ["?.b", "a.b.c", true],
    ["?.b", "aa.b.c", false],
    ["*", "anything", true],
    // Everything else stands for itself.
    ["a.b", "axb", false],
    ["a+", "aa", false],
    ["[ab]", "a", false],
    ["(a)", "(a)", true],
    ["", "a", false],
  ];
  for (const [pattern, id, matches] of cases) {
    it(`"${pattern}" ${matches ? "matches" : "does not match"} "${id}"`, () => {
      assertEquals(new Glob(pattern).matches(id), matches);
    });
  }

  it("matches what the regular expression of the same meaning matches", () => {
    const text = fc.string({ unit: fc.constantFrom(..."ab./"), maxLength: 8 });
    const pattern = fc.string({
      unit: fc.constantFrom(..."ab./*?"),
      maxLength: 8,
    });
    fc.assert(
      fc.property(pattern, text, (pattern, text) => {
        const source = pattern.replaceAll(".", "\\.").replaceAll("*", ".*")
          .replaceAll("?", ".");
        const glob = new Glob(pattern);
        assertEquals(
          glob.matchesAll(text),
          new RegExp(`^${source}$`).test(text),
        );
        const upTo = new RegExp(`^${source}([./]|$)`);
        assertEquals(glob.matches(text), upTo.test(text));
      }),
      { numRuns: 2000 },
    );
  });

  it("takes steps by the lengths, not by the ways to divide the text", () => {
    // With a regular expression each of these would take years.
    for (const pattern of ["*".repeat(40) + "x", "*a".repeat(40) + "x"]) {
      let looks = 0;
      const text: unknown = new Proxy(Object("a".repeat(100)) as string[], {
        get: (target, key) => {
          looks++;
          return target[Number(key)] ?? target.length;
        },
      });
      assert(!new Glob(pattern).matchesAll(text as string));
      assert(looks < 10 * pattern.length * 100, `${looks}`);
    }
  });
});
