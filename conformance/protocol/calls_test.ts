// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EFAULT } from "../../impl/uapi/errno.ts";
import type {
  Argument,
  Call,
  Kind,
  Verb,
} from "../../selftests/target/verbs.ts";
import { call, requestsOf, VERBS } from "../../selftests/target/verbs.ts";
import { ProtocolError } from "../../selftests/target/target_failure.ts";
import {
  formatCall,
  formatCalls,
  formatReply,
  formatTimed,
  formatTiming,
  parseCall,
  parseList,
  parseResults,
  parseTiming,
} from "./calls.ts";
import { Words } from "./codec.ts";

const BYTES = [
  new Uint8Array(0),
  Uint8Array.of(0),
  Uint8Array.of(0, 0x80, 255),
];

/** Arguments of each kind, at their limits. */
const ARGUMENTS: Readonly<Record<Kind, readonly Argument[]>> = {
  number: [0, 4096, -1, 2 ** 47, 2 ** 64 - 4096],
  u64: [0n, 2n ** 64n - 1n, -(2n ** 63n)],
  command: [0x3b81, 0, 0xffffffff],
  process: [1, 12],
  text: ["/dev/iommu", "", "nä\n me;"],
  bytes: BYTES,
  struct: BYTES,
  into: [new Uint8Array(0), new Uint8Array(3)],
  numbers: [],
};

/** Calls of a verb, one for each of the arguments above. */
function callsOf(verb: Verb): Call[] {
  const samples = verb.args.map(([names, kind]) =>
    kind === "numbers" ? [names.split(" ").map(() => -1)] : ARGUMENTS[kind]
  );
  const count = Math.max(1, ...samples.map(({ length }) => length));
  return Array.from({ length: count }, (_, i) => ({
    verb,
    args: samples.map((values) => values[i % values.length]!),
  }));
}

/** The call as the far end reads it. */
function received({ verb }: Call, request: string): Call {
  const words = new Words(request);
  assertEquals(words.name("the verb"), verb.name);
  return parseCall(verb, words);
}

/** Fills what a call writes to, with what `seed` decides; a result that fits. */
function carriedOut({ verb, args }: Call, seed: number): number {
  let result = verb.returns ? seed : 0;
  for (const [i, [, kind]] of verb.args.entries()) {
    const arg = args[i];
    if (kind === "struct" || kind === "into") {
      (arg as Uint8Array).fill(seed);
    }
    if (kind === "numbers") (arg as number[]).fill(seed);
    if (kind === "into" && verb.returns) result = (arg as Uint8Array).length;
  }
  return result;
}

/** A call with bytes and numbers of its own. */
function copy({ verb, args }: Call): Call {
  return {
    verb,
    args: args.map((arg) => typeof arg === "object" ? arg.slice() : arg),
  };
}

/** The values of a reply to a request. */
function valuesOf(reply: string): Words {
  const words = new Words(reply);
  assertEquals(words.skip("ok"), true);
  return words;
}

/** That a call and what comes of it are the same at both ends. */
function makesRoundTrip(made: Call): void {
  const there = received(made, formatCall(made));
  // A u64 may be written as a number.
  assertEquals(there, made);
  const sent = copy(made);
  for (const seed of [7, 0]) {
    const result = carriedOut(there, seed);
    const reply = formatReply([there], [result]);
    assertEquals(parseResults([sent], valuesOf(reply)), [result], reply);
    assertEquals(sent, there);
  }
}

describe("the table of verbs", () => {
  it("has no name twice, and no struct twice in a verb", () => {
    const names = VERBS.map(({ name }) => name);
    assertEquals(names, [...new Set(names)]);
    for (const { args } of VERBS as readonly Verb[]) {
      const structs = args.filter(([, kind]) => kind === "struct");
      assertEquals(structs.length <= 1 && args.length <= 6, true);
    }
  });

  for (const verb of VERBS as readonly Verb[]) {
    it(`is read as it is written, on both ends: ${verb.name}`, () => {
      callsOf(verb).forEach(makesRoundTrip);
    });

    it(`refuses words too few and too many: ${verb.name}`, () => {
      const [made] = callsOf(verb);
      const [, ...words] = formatCall(made!).split(" ");
      for (const wrong of [[...words, "1"], words.slice(1)]) {
        if (wrong.length === words.length) continue;
        const request = new Words([verb.name, ...wrong].join(" "));
        request.skip(verb.name);
        assertThrows(() => parseCall(verb, request), ProtocolError, "has ");
        const reply = formatReply([made!], [0]);
        assertThrows(() => {
          const values = valuesOf(`${reply} 1`);
          parseResults([copy(made!)], values);
          values.end();
        }, ProtocolError);
      }
    });
  }

  it("notices a row of which the ends know different forms", () => {
    const one: Verb = { name: "x", args: [["A", "number"]], returns: "RET" };
    const other: Verb = { ...one, args: [["A", "text"]] };
    const request = formatCall({ verb: one, args: [4095] });
    assertThrows(() => received({ verb: other, args: [] }, request));
  });
});

describe("formatCalls()", () => {
  const poke = call("poke", 16, Uint8Array.of(1));
  const into = new Uint8Array(2);
  const peek = call("peek", 16, into);
  const ioctl = call("ioctl", 3, 5, Uint8Array.of(2));

  it("makes a batch of several calls, and none of one", () => {
    assertEquals(formatCalls([poke]), "poke 16 01");
    assertEquals(
      formatCalls([poke, ioctl, peek]),
      "batch poke 16 01 ; ioctl 3 5 02 ; peek 16 2",
    );
  });

  it("is answered by values in the same order, faults among them", () => {
    const calls = [poke, ioctl, peek];
    const reply = formatReply(calls, [0, -9, -EFAULT.code]);
    assertEquals(reply, "ok ; -9 02 ; fault");
    assertEquals(parseResults(calls, valuesOf(reply)), [0, -9, -EFAULT.code]);
  });

  it("sends of what was read as much as there is", () => {
    const read = call("read", 3, Uint8Array.of(7, 8, 9));
    for (
      const [result, reply] of [[2, "ok 2 0708"], [-9, "ok -9 -"]] as const
    ) {
      assertEquals(formatReply([read], [result]), reply);
    }
    const into = new Uint8Array(3);
    parseResults([call("read", 3, into)], valuesOf("ok 2 0708"));
    assertEquals([...into], [7, 8, 0]);
  });

  it("tells a fault of a call alone as another kind of reply", () => {
    assertEquals(formatReply([poke], [-EFAULT.code]), "fault");
    assertThrows(
      () => parseResults([peek], new Words("fault")),
      ProtocolError,
      `"fault`,
    );
  });

  it("takes lists apart", () => {
    const calls = [poke, ioctl];
    const [, ...words] = formatCalls(calls).split(" ");
    const verbs = new Map<string, Verb>(VERBS.map((verb) => [verb.name, verb]));
    const parsed = parseList(
      new Words(words.join(" ")),
      (part) => verbs.get(part.name("a call"))!,
    );
    assertEquals(parsed, calls);
  });

  it("times calls", () => {
    const calls = [ioctl, call("close", 9)];
    assertEquals(formatTimed(3, calls), "time 3 ioctl 3 5 02 ; close 9");
    const timing = { nanoseconds: [100, 0], results: [0, -9] };
    const values = formatTiming(calls, timing).join(" ");
    assertEquals(values, "100 0 ; 0 02 ; -9");
    assertEquals(parseTiming(calls, new Words(values)), timing);
  });
});

describe("requestsOf()", () => {
  it("puts together what stands side by side and can be batched", () => {
    const poke = call("poke", 16, Uint8Array.of(1));
    const close = call("close", 3);
    const sizes = (calls: Call[]) => requestsOf(calls).map((r) => r.length);
    assertEquals(sizes([]), []);
    assertEquals(sizes([close]), [1]);
    assertEquals(sizes([poke, poke, close, close, poke]), [2, 1, 1, 1]);
    assertEquals(
      requestsOf([poke, close, poke]).flat(),
      [poke, close, poke],
    );
  });
});
