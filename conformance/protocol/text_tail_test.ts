// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { TextTail } from "./text_tail.ts";

describe("TextTail", () => {
  it("gives what came since it was asked last", () => {
    const tail = new TextTail();
    tail.push(new TextEncoder().encode("one"));
    assertEquals(tail.take(), "one");
    assertEquals(tail.take(), "");
  });

  it("puts a character together whose bytes come apart", () => {
    const tail = new TextTail();
    const [first, second] = new TextEncoder().encode("ä");
    tail.push(new Uint8Array([first!]));
    tail.push(new Uint8Array([second!]));
    assertEquals(tail.take(), "ä");
  });

  it("keeps the end of a flood, and says that something is missing", () => {
    const tail = new TextTail();
    for (let i = 0; i < 100; i++) {
      tail.push(new Uint8Array(10_000).fill(0x61));
    }
    tail.push(new TextEncoder().encode("end"));
    const text = tail.take();
    assertEquals(text.length <= 16 * 1024 + 1, true);
    assertEquals([text[0], text.slice(-4)], ["…", "aend"]);
  });
});
