// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Outcome, Program, Step } from "../../selftests/target/program.ts";
import { ProtocolError } from "../../selftests/target/target_failure.ts";
import {
  type Call,
  call,
  type Verb,
  VERBS,
} from "../../selftests/target/verbs.ts";
import { Words } from "./codec.ts";
import {
  formatOutcomes,
  formatSteps,
  parseOutcomes,
  parseSteps,
} from "./program.ts";

function verbOf(words: Words): Verb {
  const name = words.name("a call");
  return VERBS.find((verb) => verb.name === name) ?? words.refuse("no verb");
}

function step(made: Call, ...patches: NonNullable<Step["patches"]>): Step {
  return { process: 0, call: made, patches };
}

/** Steps, and the words for them. */
const STEPS: readonly (readonly [string, Step])[] = [
  ["0 pipe", step(call("pipe", [-1, -1]))],
  ["12 exit", { process: 12, call: call("exit"), patches: [] }],
  ["0 open 2f61 2", step(call("open", "/a", 2))],
  ["0 read 3 0x1000", step(call("read", 3, new Uint8Array(4096)))],
  ["0 passfd 3 1", step(call("passfd", 3, 1))],
  ["0 close =7", step(call("close", 0), { arg: 0, from: { step: 7 } })],
  [
    "0 peek =4096.8.8+-8 2".replace("4096", "0x1000"),
    step(call("peek", 0, new Uint8Array(2)), {
      arg: 0,
      from: { step: 4096, field: { offset: 8, bytes: 8 }, plus: -8n },
    }),
  ],
  [
    "0 setrlimit 8 =0+0xffffffffffffffff",
    step(call("setrlimit", 8, 0n), {
      arg: 1,
      from: { step: 0, plus: 2n ** 64n - 1n },
    }),
  ],
  [
    "0 ioctl =0 0x3b81 0c00000000000000@4.4=1.4.4@0.1=2+1",
    step(
      call("ioctl", 0, 0x3b81, Uint8Array.of(12, 0, 0, 0, 0, 0, 0, 0)),
      { arg: 0, from: { step: 0 } },
      {
        arg: 2,
        field: { offset: 4, bytes: 4 },
        from: { step: 1, field: { offset: 4, bytes: 4 } },
      },
      {
        arg: 2,
        field: { offset: 0, bytes: 1 },
        from: { step: 2, plus: 1n },
      },
    ),
  ],
];

const PROGRAM: Program = STEPS.map(([, step]) => step);
const WORDS = STEPS.map(([words]) => words).join(" ; ");

describe("steps of a program", () => {
  it("are words", () => assertEquals(formatSteps(PROGRAM), WORDS));

  it("are read as they were", () => {
    assertEquals(parseSteps(new Words(WORDS), verbOf), PROGRAM);
  });

  for (
    const [bad, why] of [
      ["0 close", "FD is missing"],
      ["0 close 3 4", `nothing was expected from "4" on`],
      ["-1 close 3", "the number of a process is negative"],
      ["0 close =", "FD is neither a value nor one of an earlier step"],
      ["0 close =1.2", "FD is neither a value nor one of an earlier step"],
      ["0 close =1.2.3", "FD is neither a value nor one of an earlier step"],
      ["0 close =01", "FD is neither a value nor one of an earlier step"],
      ["0 close =1+", "FD is neither a value nor one of an earlier step"],
      ["0 close =1+0x10000000000000000", "FD has more than 64 bits"],
      ["0 poke 0 00@0.3=1", "BYTES is neither a value nor one of an earlier"],
      ["0 poke 0 00@0.1", "BYTES is neither a value nor one of an earlier"],
      ["0 poke 0 @0.1=1", "it is empty"],
      ["0 poke 0 =1", "BYTES is not written in lower-case hex digits"],
      ["0 open =1 0", "PATH is not written in lower-case hex digits"],
      ["0 passfd 0 =1", "TO is no number"],
      ["0 read 0 =1", "COUNT is no number"],
      ["0 pipe ;", `nothing stands before or after a ";"`],
    ] as const
  ) {
    it(`are refused where they make no sense: ${bad}`, () => {
      assertThrows(
        () => parseSteps(new Words(bad), verbOf),
        ProtocolError,
        why,
      );
    });
  }
});

/** What the steps come to, and the words for it. */
const OUTCOMES: readonly (readonly [string, Outcome, Call])[] = [
  [
    "0 3 4",
    returned(0, [
      ...Uint8Array.from(
        { length: 16 },
        (_, i) => i === 0 ? 3 : i === 8 ? 4 : 0,
      ),
    ]),
    call("pipe", [-1, -1]),
  ],
  ["-9", returned(-9, []), call("close", 3)],
  ["fault", { kind: "fault" }, call("peek", 0, new Uint8Array(1))],
  ["07", returned(0, [7]), call("peek", 0, new Uint8Array(1))],
  ["2 0102", returned(2, [1, 2]), call("read", 0, new Uint8Array(3))],
  ["-11 -", returned(-11, []), call("read", 0, new Uint8Array(3))],
  ["", returned(0, []), call("poke", 0, Uint8Array.of(1))],
  ["1", returned(1, []), call("fork")],
  ["died 5347", { kind: "died", reason: "SG" }, call("dup", 0)],
  ["gone", { kind: "gone" }, call("dup", 0)],
  ["0 0102", returned(0, [1, 2]), call("ioctl", 0, 1, Uint8Array.of(0, 0))],
];

function returned(result: number, back: number[]): Outcome {
  return { kind: "returned", result, back: Uint8Array.from(back) };
}

const MADE: Program = OUTCOMES.map(([, , made]) => step(made));
const REPLY = OUTCOMES.map(([words]) => words).join(" ; ").replaceAll(
  "  ",
  " ",
);

describe("what the steps of a program came to", () => {
  it("are words", () => {
    const outcomes = OUTCOMES.map(([, outcome]) => outcome);
    assertEquals(formatOutcomes(MADE, outcomes).join(" "), REPLY);
  });

  it("is read as it was, and the program stays as it is", () => {
    const before = structuredClone(MADE);
    const values = new Words(REPLY);
    const outcomes = OUTCOMES.map(([, outcome]) => outcome);
    assertEquals(parseOutcomes(MADE, values), outcomes);
    assertEquals(values.left, 0);
    assertEquals(structuredClone(MADE), before);
  });

  for (
    const [bad, why] of [
      ["0 3", "WRITEFD is missing"],
      ["0 3 4 7", `";" is missing before the result of call 2`],
      ["0 3 4 ; fault", "the result is no number"],
      ["0 3 4 ; died", "the reason is missing"],
      ["done", "the result is no number"],
    ] as const
  ) {
    it(`is refused where it makes no sense: ${bad}`, () => {
      assertThrows(
        () => parseOutcomes(MADE, new Words(bad)),
        ProtocolError,
        why,
      );
    });
  }
});
