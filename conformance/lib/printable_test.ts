// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { printable } from "./printable.ts";

describe("printable()", () => {
  for (
    const [what, text, shown] of [
      ["plain text", "Ünïcode, 漢字 and 🙂", "Ünïcode, 漢字 and 🙂"],
      ["lines and tabs", "a\tb\r\nc\n", "a\tb\nc\n"],
      ["colours", "\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"],
      ["a return to the line's beginning", "ok\rno", "ok\\x0dno"],
      ["bell, backspace, NUL and DEL", "\x07\b\0\x7f", "\\x07\\x08\\x00\\x7f"],
      ["C1 controls", "\x9b31m\x85", "\\x9b31m\\x85"],
      ["text that is turned round", "a\u202eb\u2066c", "a\\u{202e}b\\u{2066}c"],
      ["what has no width", "a\u200bb\ufeffc", "a\\u{200b}b\\u{feff}c"],
      ["other ends of lines", "a\u2028b\u2029c", "a\\u{2028}b\\u{2029}c"],
      ["half a character", "a\ud83db", "a\\u{d83d}b"],
      ["a tag", "\u{e0041}", "\\u{e0041}"],
    ] as const
  ) {
    it(`shows ${what}`, () => assertEquals(printable(text), shown));
  }

  it("goes into objects and arrays, and leaves the rest alone", () => {
    const value = { a: ["\x1b", 1, null], b: { c: undefined, d: 2n } };
    const shown = { a: ["\\x1b", 1, null], b: { c: undefined, d: 2n } };
    assertEquals(printable(value), shown);
  });
});
