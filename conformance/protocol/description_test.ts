// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type Call, type Verb, VERBS } from "../../selftests/target/verbs.ts";
import { formatOutcome, parseCall } from "./calls.ts";
import { Words } from "./codec.ts";
import { describeProtocol, formatDescription } from "./description.ts";

const DESCRIPTION = describeProtocol();

/** A word that fits its pattern, for each kind of word. */
const EXAMPLE = { number: "0x2", bytes: "0a0b", text: "61", pair: "a=b" };

function matches(word: string, name: keyof typeof EXAMPLE): boolean {
  return new RegExp(DESCRIPTION.words[name].pattern).test(word);
}

describe("protocol.json", () => {
  it("is what the tables of requests make", () => {
    const file = new URL("../protocol.json", import.meta.url);
    assertEquals(Deno.readTextFileSync(file), formatDescription());
  });

  for (const { name, args, values } of DESCRIPTION.calls) {
    const verb: Verb = VERBS.find((each) => each.name === name)!;

    it(`has the words of ${name} as they are read and written`, () => {
      const request = args.map(({ word }) => EXAMPLE[word]);
      // A line without words is none: behind the verb nothing is left.
      const words = new Words([name, ...request].join(" "));
      words.word("the verb");
      const call: Call = parseCall(verb, words);
      const back = new Uint8Array(values.length * 8);
      const reply = formatOutcome(call, { kind: "returned", result: 2, back });
      assertEquals(reply.length, values.length);
      for (const [i, { word }] of values.entries()) {
        assertEquals(matches(reply[i]!, word), true, `${reply[i]} as ${word}`);
      }
    });
  }

  it("has patterns that tell words apart as the runner does", () => {
    for (
      const word of ["0", "-22", "0x3b81", "0X1", "01", "1f", "-", "0a", "0A"]
    ) {
      for (const name of ["number", "bytes", "text"] as const) {
        let read = true;
        try {
          const words = new Words(word);
          if (name === "number") words.bigint(name);
          else words[name](name);
        } catch {
          read = false;
        }
        assertEquals(matches(word, name), read, `${word} as ${name}`);
      }
    }
  });
});
