// SPDX-License-Identifier: GPL-2.0-only

/**
 * Checks of programs: references, processes and how steps end.
 *
 * @module
 */

import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertOk,
  assertTrue,
} from "../../selftests/harness/harness.ts";
import type {
  Outcome,
  Patch,
  Program,
  Step,
  Target,
} from "../../selftests/target/target.ts";
import { call } from "../../selftests/target/verbs.ts";
import type { Check } from "./bench.ts";
import { badPrograms, refusesAll } from "./mistakes.ts";

const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS;

/** A step of the first process, with its first argument from an earlier one. */
function at(
  from: Patch["from"],
  made: Step["call"],
  ...patches: Patch[]
): Step {
  return { process: 0, call: made, patches: [{ arg: 0, from }, ...patches] };
}

/** A step as it stands. */
function step(made: Step["call"], process = 0): Step {
  return { process, call: made };
}

/** The same step of another process. */
function by(process: number, { call, patches }: Step): Step {
  return { process, call, ...patches && { patches } };
}

const PIPE = step(call("pipe", [-1, -1]));
const MMAP = step(call("mmap", 0, 4096, RW, ANON, -1, 0));
/** The descriptors that a pipe gave. */
const READ_END = { offset: 0, bytes: 8 } as const;
const WRITE_END = { offset: 8, bytes: 8 } as const;

function peek(mapping: number, plus: bigint, length: number): Step {
  return at({ step: mapping, plus }, call("peek", 0, new Uint8Array(length)));
}

function poke(mapping: number, bytes: number[], ...patches: Patch[]): Step {
  const made = call("poke", 0, Uint8Array.from(bytes));
  return at({ step: mapping }, made, ...patches);
}

/** Carries a program out; asserts what the steps came to. */
async function comesTo(
  target: Target,
  program: Program,
  expected: readonly string[],
): Promise<void> {
  const outcomes = await target.program!(program);
  for (const [i, text] of expected.entries()) {
    if (text === "any") continue;
    const { verb } = program[i]!.call;
    assertEq(told(outcomes[i]!), text, `step ${i} of a program, ${verb.name}`);
  }
  assertEq((await target.reset()).join(" "), "", "what it left");
}

/** An outcome in a few words. */
function told(outcome: Outcome): string {
  if (outcome.kind !== "returned") return outcome.kind;
  return [outcome.result, ...outcome.back].join(" ");
}

/** What programs must do. */
export const PROGRAM_CHECKS: readonly Check[] = [
  {
    name: "program: results and fields of earlier steps",
    needs: "program",
    async run({ target }) {
      const write = call("write", -1, Uint8Array.of(7, 8));
      const read = call("read", -1, new Uint8Array(3));
      await comesTo(target, [
        PIPE,
        at({ step: 0, field: WRITE_END }, write),
        at({ step: 0, field: READ_END }, read),
        MMAP,
        poke(3, [1, 2, 3, 4]),
        peek(3, 1n, 2),
        peek(3, 4096n, 1),
      ], ["any", "2", "2 7 8", "any", "0", "0 2 3", "any"]);
    },
  },
  {
    name: "program: values in bytes",
    needs: "program",
    async run({ target }) {
      const into = (offset: number, bytes: 1 | 2 | 4, from: Patch["from"]) => ({
        arg: 1,
        field: { offset, bytes },
        from,
      });
      await comesTo(target, [
        MMAP,
        poke(0, [1, 2, 3, 4]),
        peek(0, 0n, 4),
        poke(
          0,
          [0, 0, 0, 0, 0, 9],
          into(0, 2, { step: 2, field: { offset: 1, bytes: 2 } }),
          // The carry goes into the second byte; the last value is cut off.
          into(2, 2, {
            step: 2,
            field: { offset: 3, bytes: 1 },
            plus: 0xffn,
          }),
          into(5, 4, { step: 1, plus: 0x0706n }),
        ),
        peek(0, 0n, 6),
      ], ["any", "0", "0 1 2 3 4", "0", "0 2 3 3 1 0 6"]);
    },
  },
  {
    name: "program: a value that is not there is 0",
    needs: "program",
    async run({ target }) {
      await comesTo(target, [
        MMAP,
        step(call("peek", 0x10, new Uint8Array(1))),
        // A step that faulted, bytes behind the end, a step that is to come.
        poke(
          0,
          [1, 1, 1],
          ...[1, 0, 9].map((from, i): Patch => ({
            arg: 1,
            field: { offset: i, bytes: 1 },
            from: { step: from, field: { offset: 0, bytes: 1 } },
          })),
        ),
        peek(0, 0n, 3),
      ], ["any", "fault", "0", "0 0 0 0"]);
    },
  },
  {
    name: "program: goes on after a fault and an error",
    needs: "program",
    async run({ target }) {
      await comesTo(target, [
        step(call("peek", 0x10, new Uint8Array(1))),
        step(call("close", 99)),
        step(call("poke", 0x10, Uint8Array.of(1))),
        step(call("pipe", [-1, -1])),
      ], ["fault", "-9", "fault", "any"]);
    },
  },
  {
    name: "program: processes, fork and exit",
    needs: "program",
    async run({ target }) {
      const fork = step(call("fork"));
      const exit = step(call("exit"));
      const { capabilities } = target.info;
      if (!capabilities.includes("fork")) return;
      await comesTo(target, [
        MMAP,
        poke(0, [1]),
        fork,
        by(1, poke(0, [2])),
        peek(0, 0n, 1),
        by(1, peek(0, 0n, 1)),
        by(1, fork),
        by(1, exit),
        by(1, peek(0, 0n, 1)),
        by(2, peek(0, 0n, 1)),
        by(1, fork),
        by(3, exit),
        fork,
        by(4, peek(0, 0n, 1)),
        by(9, exit),
      ], [
        ...["any", "0", "1", "0", "0 1", "0 2", "2", "0", "gone", "0 2"],
        ...["gone", "gone", "4", "0 1", "gone"],
      ]);
    },
  },
  {
    name: "program: has processes of its own",
    needs: "program",
    async run({ target, process }) {
      const fd = assertOk(await process.open("/dev/iommu"), "open");
      const close = step(call("close", fd));
      const [outcome] = await target.program!([close]);
      assertEq(told(outcome!), "-9", "close of another's descriptor");
      assertEq(await process.close(fd), 0, "close of the descriptor");
    },
  },
  {
    name: "program: the next is sent before the reply to the one before",
    needs: "program",
    async run({ target }) {
      const program = [PIPE, at({ step: 0, field: READ_END }, call("dup", -1))];
      const both = Array.from(
        { length: 20 },
        () => Promise.all([target.program!(program), target.reset()]),
      );
      for (const [outcomes, problems] of await Promise.all(both)) {
        assertEq(told(outcomes[1]!), "5", "the third descriptor of a program");
        assertTrue(problems.length === 0, "it left nothing");
      }
    },
  },
  {
    name: "program: steps that make no sense",
    needs: "program",
    run: (bench) => refusesAll(bench, badPrograms()),
  },
];
