// SPDX-License-Identifier: GPL-2.0-only

/**
 * Compares what a program came to on two sides.
 *
 * @module
 */

import { errnoName } from "../../../impl/uapi/errno.ts";
import { cName, formatNumber } from "../../../impl/uapi/layout/format.ts";
import { fieldsOf } from "../../../impl/uapi/layout/struct.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import {
  type Outcome,
  type Program,
  readValue,
  type Step,
} from "../../../selftests/target/program.ts";
import { ioctlNameOf, placeOf, shapeOfStep } from "../program/layout.ts";
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

/** The first difference from a step on, but for what the masks hide; undefined where there is none. */
export function compare(
  program: Program,
  ours: Ran,
  theirs: Ran,
  masks: Masks,
  from = 0,
): Difference | undefined {
  for (let index = from; index < program.length; index++) {
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
  const step = program[index]!;
  const { call } = step;
  function differs(
    what: Difference["what"],
    ours: string,
    theirs: string,
    place?: Place,
  ): Difference {
    const name = stepName(program, step, masks.uapi);
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
  const place = placeIn(program, step, at, masks.uapi);
  const { what, from, bytes } = place;
  const [ours, theirs] = [a, b].map(({ back }) => valueAt(back, from, bytes));
  return differs(what, ours!, theirs!, place);
}

/** The name of what a step calls: its verb, or its ioctl, by the file that it is made on, with what its struct chooses. */
export function stepName(
  program: Program,
  step: Step,
  uapi: RevisionName,
): string {
  const { verb, args } = step.call;
  const command = verb.args.findIndex(([, kind]) => kind === "command");
  if (command < 0) return verb.title ?? verb.name;
  const number = Number(args[command]);
  return shapeOfStep(program, step, uapi)?.name ??
    ioctlNameOf(number, program, step) ?? `0x${number.toString(16)}`;
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

function placeIn(
  program: Program,
  step: Step,
  at: number,
  uapi: RevisionName,
): Place {
  const { verb } = step.call;
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
  const { layout } = shapeOfStep(program, step, uapi) ?? {};
  const field = layout &&
    fieldsOf(layout).findLast((each) => each.offset <= at);
  const place = field && placeOf(layout, field);
  if (place === undefined || at >= place.offset + place.bytes) {
    return { what: "bytes", from: at, bytes: 1 };
  }
  const { name, offset: from, bytes } = place;
  return { what: "bytes", where: cName(name), from, bytes };
}

/** A value of some bytes; how many there are, where they end before. */
function valueAt(
  back: Returned["back"],
  from: number,
  bytes: number,
): string {
  if (from + bytes > back.length) return `${back.length} bytes`;
  return formatNumber(readValue(back, { offset: from, bytes }));
}
