// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { ProtocolError } from "../../selftests/target/target_failure.ts";
import { formatBytes, formatNumber, formatText, Words } from "./codec.ts";

const RUNS = { seed: 1, numRuns: 200 };

describe("formatNumber()", () => {
  for (
    const [value, word] of [
      [0, "0"],
      [-1, "-1"],
      [4095, "4095"],
      [4096, "0x1000"],
      [-4096, "-0x1000"],
      [2n ** 64n - 1n, "0xffffffffffffffff"],
      [2 ** 64 - 4096, "0xfffffffffffff000"],
    ] as const
  ) {
    it(`writes ${value} as ${word}`, () => {
      assertEquals(formatNumber(value), word);
    });
  }
});

describe("Words", () => {
  it("read back every number of 64 bits", () => {
    const numbers = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n });
    fc.assert(
      fc.property(numbers, (value) => {
        assertEquals(new Words(formatNumber(value)).bigint("it"), value);
      }),
      RUNS,
    );
  });

  it("read back all bytes and texts", () => {
    const line = fc.tuple(fc.uint8Array(), fc.string({ unit: "grapheme" }));
    fc.assert(
      fc.property(line, ([bytes, text]) => {
        const words = new Words(`${formatBytes(bytes)} ${formatText(text)}`);
        assertEquals(words.bytes("bytes"), bytes.slice());
        assertEquals(words.text("text"), text);
        words.end();
      }),
      RUNS,
    );
  });

  it("read hexadecimal of either case", () => {
    assertEquals(new Words("0xFf").number("it"), 255);
    assertEquals(new Words("0x00fF").bigint("it"), 255n);
  });

  it("read a large address if it is exact", () => {
    assertEquals(new Words("0xfffffffffffff000").number("it"), 2 ** 64 - 4096);
  });

  it("are cut at a separator", () => {
    const parts = new Words("a 1 ; b ; c 2 3").split(";");
    assertEquals(parts.map((part) => part.rest()), ["a 1", "b", "c 2 3"]);
  });

  const mistakes: [
    line: string,
    read: (words: Words) => unknown,
    why: string,
  ][] = [
    ["", () => {}, `Bad line "": it is empty`],
    [" a", () => {}, "not separated by single spaces"],
    ["a ", () => {}, "not separated by single spaces"],
    ["a  b", () => {}, "not separated by single spaces"],
    ["a\tb", () => {}, "no printable ASCII character"],
    ["ä", () => {}, "no printable ASCII character"],
    ["a", (words) => words.number("RET"), `RET is no number: "a"`],
    ["010", (words) => words.number("RET"), `RET is no number: "010"`],
    ["+1", (words) => words.number("RET"), `RET is no number: "+1"`],
    ["1.0", (words) => words.number("RET"), `RET is no number: "1.0"`],
    ["1e3", (words) => words.number("RET"), `RET is no number: "1e3"`],
    ["0x", (words) => words.number("RET"), `RET is no number: "0x"`],
    ["--1", (words) => words.number("RET"), `RET is no number: "--1"`],
    [
      "0xfffffffffffffff1",
      (words) => words.number("RET"),
      "RET is out of range",
    ],
    [
      "0x10000000000000000",
      (words) => words.number("RET"),
      "RET is out of range",
    ],
    [
      "0x10000000000000000",
      (words) => words.bigint("RET"),
      "RET has more than 64 bits",
    ],
    [
      "-0x8000000000000001",
      (words) => words.bigint("RET"),
      "RET has more than 64 bits",
    ],
    ["0", (words) => words.bytes("it"), "it ends in the middle of a byte"],
    ["0G", (words) => words.bytes("it"), "not written in lower-case hex"],
    ["AB", (words) => words.bytes("it"), "not written in lower-case hex"],
    ["ff", (words) => words.text("it"), "it is no UTF-8"],
    ["a;b", (words) => words.name("it"), `it is no name: "a;b"`],
    ["a b", (words) => words.end(), `nothing was expected from "a" on`],
    ["a ;", (words) => words.split(";"), `nothing stands before or after`],
  ];
  for (const [line, read, why] of mistakes) {
    it(`refuse ${JSON.stringify(line)}: ${why}`, () => {
      assertThrows(() => read(new Words(line)), ProtocolError, why);
    });
  }

  it("say what is missing", () => {
    const words = new Words("1");
    words.number("SEQ");
    assertThrows(
      () => words.word("the reply"),
      ProtocolError,
      `Bad line "1": the reply is missing`,
    );
  });

  it("do not quote a megabyte", () => {
    const line = "x".repeat(1 << 20);
    const { message } = assertThrows(
      () => new Words(line).number("RET"),
      ProtocolError,
    );
    assertEquals(message.length < 400, true);
  });
});
