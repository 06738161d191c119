// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { ProtocolError } from "../../selftests/target/target_failure.ts";
import { LineBuffer } from "./line_buffer.ts";

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

describe("LineBuffer", () => {
  it("finds the same lines wherever the stream is cut", () => {
    const text = "1 ok\n\n2 fault\r\n3 ok 00\nrest";
    const cuts = fc.array(fc.nat({ max: text.length }), { maxLength: 6 });
    fc.assert(
      fc.property(cuts, (cuts) => {
        const ends = [...cuts.sort((a, b) => a - b), text.length];
        const buffer = new LineBuffer();
        const lines: string[] = [];
        let start = 0;
        for (const end of ends) {
          lines.push(...buffer.push(bytes(text.slice(start, end))));
          start = end;
        }
        assertEquals(lines, ["1 ok", "", "2 fault", "3 ok 00"]);
        assertEquals(buffer.midLine, true);
      }),
      { seed: 1, numRuns: 100 },
    );
  });

  it("is not in a line after its end", () => {
    const buffer = new LineBuffer();
    buffer.push(bytes("1 ok\n"));
    assertEquals(buffer.midLine, false);
  });

  it("takes a line of the largest size, and none beyond", () => {
    const buffer = new LineBuffer(4);
    assertEquals(buffer.push(bytes("abcd\n")), ["abcd"]);
    buffer.push(bytes("abc"));
    assertThrows(
      () => buffer.push(bytes("de")),
      ProtocolError,
      "longer than 4 bytes",
    );
  });
});
