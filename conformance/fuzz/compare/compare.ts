// SPDX-License-Identifier: GPL-2.0-only

/**
 * Compares what a program came to on two sides.
 *
 * @module
 */

import { errnoName } from "../../../impl/uapi/errno.ts";
import { cName, formatNumber } from "../../../impl/uapi/layout/format.ts";
import { fieldsOf } from "../../../impl/uapi/layout/struct.ts";
import { type RevisionName, REVISIONS } from "../../../impl/uapi/revision.ts";
import {
  type Outcome,
  type Program,
  readValue,
  type Step,
} from "../../../selftests/target/program.ts";
import { type Call, structOf } from "../../../selftests/target/verbs.ts";
import {
  ioctlName,
  ioctlNameWith,
  layoutOf,
  structRow,
} from "../../traces/describe_ioctl.ts";
import type { Masks } from "./masks.ts";
import { kindsOfProblems } from "./problems.ts";

/** What a program came to. */
export interface Ran {
  /** What each step came to. */
  readonly outcomes: readonly Outcome[];
  /** What was left after all processes had ended: warnings too. */
  readonly problems: readonly string[];
}

/** What differs first between two sides. */
export interface Difference {
  /** The step; undefined for what is left after the program, or where a side did not get through it. */
  readonly step: number | undefined;
  /** What of it. */
  readonly what:
    | "result"
    | "errno"
    | "bytes"
    | "read"
    | "poll"
    | "accounting"
    | "ending"
    | "problems";
  /** The field, where it is one of a struct or of what was told. */
  readonly where?: string;
  /** What came of it on our side, in words. */
  readonly ours: string;
  /** What came of it on the other side. */
  readonly theirs: string;
  /** All of that in a line. */
  readonly text: string;
}

type Returned = Extract<Outcome, { kind: "returned" }>;

/** The first difference, but for what the masks hide; undefined where there is none. */
export function compare(
  program: Program,
  ours: Ran,
  theirs: Ran,
  masks: Masks,
): Difference | undefined {
  for (const index of program.keys()) {
    const a = ours.outcomes[index]!;
    const b = theirs.outcomes[index]!;
    const different = compareStep(program, index, a, b, masks);
    if (different) return different;
  }
  const [a, b] = [ours, theirs].map(({ problems }) => kindsOfProblems(problems))
    .map((kinds) => kinds.join(", ") || "nothing") as [string, string];
  if (a === b) return undefined;
  const text = `what is left after all processes ended: ${a} here, ${b} there`;
  return { step: undefined, what: "problems", ours: a, theirs: b, text };
}

/** The difference of a step. */
function compareStep(
  program: Program,
  index: number,
  a: Outcome,
  b: Outcome,
  masks: Masks,
): Difference | undefined {
  const { call } = program[index]!;
  function differs(
    what: Difference["what"],
    ours: string,
    theirs: string,
    place?: Place,
  ): Difference {
    const name = callName(call, masks.uapi);
    const at = place ? `, ${place.where ?? `byte ${place.from}`}` : "";
    const text = `step ${index}, ${name}${at}: ${ours} here, ${theirs} there`;
    const where = place?.where;
    return { step: index, what, ...where && { where }, ours, theirs, text };
  }
  if (a.kind !== "returned" || b.kind !== "returned") {
    if (a.kind === b.kind) return undefined;
    const what = a.kind === "fault" || b.kind === "fault" ? "read" : "ending";
    return differs(what, describeOutcome(a), describeOutcome(b));
  }
  if (!masks.isSameResult(call, a.result, b.result)) {
    const what = a.result < 0 || b.result < 0
      ? "errno"
      : call.verb.name === "poll"
      ? "poll"
      : "result";
    return differs(what, describeOutcome(a), describeOutcome(b));
  }
  const at = masks.firstDifference(program, index, a.back, b.back);
  if (at < 0) return undefined;
  const place = placeOf(call, at, masks.uapi);
  const { what, from, bytes } = place;
  const [ours, theirs] = [a, b].map(({ back }) => valueAt(back, from, bytes));
  return differs(what, ours!, theirs!, place);
}

/** The name of what a step calls: its verb, or its ioctl with what its struct chooses. */
export function stepName(step: Step, uapi: RevisionName): string {
  return callName(step.call, uapi);
}

function callName(call: Call, uapi: RevisionName): string {
  const { verb, args } = call;
  const command = verb.args.findIndex(([, kind]) => kind === "command");
  if (command < 0) return verb.title ?? verb.name;
  const number = Number(args[command]);
  const struct = structOf(call);
  return struct
    ? ioctlNameWith(number, struct, REVISIONS[uapi])
    : ioctlName(number);
}

/** What a step came to, in a few words. */
export function describeOutcome(outcome: Outcome): string {
  switch (outcome.kind) {
    case "returned":
      return outcome.result < 0
        ? errnoName(outcome.result)
        : formatNumber(outcome.result);
    case "fault":
      return "a fault";
    case "died":
      return `died (${outcome.reason})`;
    case "gone":
      return "no such process";
  }
}

/** Where a byte lies in what came back. */
interface Place {
  readonly what: Difference["what"];
  /** The name of the value that it belongs to. */
  readonly where?: string;
  /** The first byte of the value that it belongs to, and how many that has. */
  readonly from: number;
  readonly bytes: number;
}

function placeOf(call: Call, at: number, uapi: RevisionName): Place {
  const { verb, args } = call;
  for (const [name, kind] of verb.args) {
    if (kind === "numbers") {
      const from = at - at % 8;
      const where = name.split(" ")[from / 8]!;
      const what = verb.name === "vmstatus" ? "accounting" : "bytes";
      return { what, where, from, bytes: 8 };
    }
    if (kind === "into") {
      return { what: "read", from: at, bytes: 1 };
    }
  }
  const row = structRow(Number(args[1]));
  const layout = row && layoutOf(row, structOf(call)!, REVISIONS[uapi]);
  const field = layout &&
    fieldsOf(layout).findLast((each) => each.offset <= at);
  const bytes = field ? BYTES[field.type]! : 1;
  if (field === undefined || at >= field.offset + bytes) {
    return { what: "bytes", from: at, bytes: 1 };
  }
  const where = cName(field.name);
  return { what: "bytes", where, from: field.offset, bytes };
}

const BYTES: Readonly<Record<string, number>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  s32: 4,
  u64: 8,
};

/** A value of some bytes; how many there are, where they end before. */
function valueAt(
  back: Returned["back"],
  from: number,
  bytes: number,
): string {
  if (from + bytes > back.length) return `${back.length} bytes`;
  return formatNumber(readValue(back, { offset: from, bytes }));
}
