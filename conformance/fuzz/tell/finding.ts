// SPDX-License-Identifier: GPL-2.0-only

/**
 * A finding as people read it.
 *
 * @module
 */

import { formatSource } from "../run/seed.ts";
import { errnoName } from "../../../impl/uapi/errno.ts";
import { fieldsOf } from "../../../impl/uapi/layout/struct.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type {
  Outcome,
  Program,
  Step,
} from "../../../selftests/target/program.ts";
import { printable } from "../../lib/printable.ts";
import type { Difference, Ran } from "../compare/compare.ts";
import { bytesText } from "../program/bytes.ts";
import type { Likeness } from "../machine/likeness.ts";
import { placeOf, placesBack, shapeOfStep } from "../program/layout.ts";
import { namedText, namingOfField, numberText } from "../program/names.ts";
import { formatSteps } from "../program/text.ts";

/** What differs between two sides, and how to see it again. */
export interface Finding {
  readonly uapi: RevisionName;
  /** What the machine has that it was found on; default what most have. */
  readonly machine?: Likeness;
  /** A program that shows it. */
  readonly program: Program;
  readonly difference: Difference;
  /** What the program came to on the model. */
  readonly ours: Ran;
  /** What it came to on the other side, as far as it got. */
  readonly theirs: Ran;
  /** What the sides are called. */
  readonly names: { readonly ours: string; readonly theirs: string };
  /** What made the program of which this one is left. */
  readonly seed: string;
  /** What it has in common with others that are the same finding. */
  readonly cause: string;
  /** How many programs showed it. */
  readonly count: number;
}

/** Bytes of a read that are told at most. */
const BYTES_TOLD = 64;

/**
 * The finding, with its program: what each side answered stands behind its
 * calls. It is a program's text, so that it can be run again as it is.
 */
export function tellFinding(finding: Finding): string {
  const { program, uapi, difference: { step: first } } = finding;
  const lines = aboutFinding(finding).map(comment);
  lines.push("");
  const answered = finding.theirs.outcomes.length;
  for (const [i, step] of formatSteps(program, uapi).entries()) {
    if (i === answered) {
      lines.push(`# ${finding.names.theirs} answered no more.`);
    }
    if (i === first) lines.push("# The first difference:");
    lines.push(`${step}  # ${answers(finding, i)}`);
  }
  if (first === undefined) lines.push("# The difference is in what was left.");
  return `${lines.join("\n")}\n`;
}

/** What there is to say of it, a line each. */
export function aboutFinding(finding: Finding): string[] {
  const { uapi, difference, names, seed, cause, count } = finding;
  const problems = [finding.ours, finding.theirs].map(({ problems }) =>
    problems.join("; ") || "nothing"
  );
  const left = problems[0] === problems[1]
    ? []
    : [`What was left: ${problems[0]} here, ${problems[1]} there.`];
  return printable([
    `${cause}: ${difference.text}`,
    `Here: ${names.ours}; there: ${names.theirs}; uAPI ${uapi}.`,
    `It was shown by ${count} program${count === 1 ? "" : "s"}, first by ${
      formatSource(seed)
    }.`,
    ...left,
  ]);
}

/** A line as a comment. */
function comment(text: string): string {
  return `# ${text}`.replaceAll("\n", " ");
}

/** What both sides answered to a step; once if it is the same. */
function answers({ program, uapi, ours, theirs }: Finding, i: number): string {
  const [here, there] = [ours, theirs].map(({ outcomes }) =>
    answerText(program, i, outcomes[i], uapi)
  );
  const isSame = here === there || i >= theirs.outcomes.length;
  const text = isSame ? here! : `${here} here; ${there} there`;
  return printable([text])[0]!.replaceAll("\n", " ");
}

/** What a step came to, and what came back. */
export function answerText(
  program: Program,
  index: number,
  outcome: Outcome | undefined,
  uapi: RevisionName,
): string {
  if (outcome === undefined) return "not answered";
  switch (outcome.kind) {
    case "fault":
      return "a fault";
    case "gone":
      return "no such process";
    case "died":
      return `died: ${outcome.reason}`;
  }
  const { result, back } = outcome;
  const step = program[index]!;
  const { returns } = step.call.verb;
  const parts = backText(program, step, result, back, uapi);
  if (returns === "process") return `P${result}`;
  if (result < 0) return [errnoName(result), ...parts].join(", ");
  return [...returns ? [numberText(result)] : [], ...parts].join(", ") ||
    "done";
}

/** What came back beside the result. */
function backText(
  program: Program,
  step: Step,
  result: number,
  back: Uint8Array,
  uapi: RevisionName,
): string[] {
  if (back.length === 0) return [];
  const shape = shapeOfStep(program, step, uapi);
  const view = new DataView(back.buffer, back.byteOffset, back.length);
  if (shape === undefined) {
    const places = placesBack(program, step, uapi)
      .filter(({ offset }) => offset + 8 <= back.length);
    if (places.length > 0) {
      return places.map(({ name, offset }) =>
        `${name} ${numberText(view.getBigInt64(offset, true))}`
      );
    }
    const more = back.length > BYTES_TOLD ? ` (${back.length} bytes)` : "";
    return [bytesText(back.subarray(0, BYTES_TOLD)) + more];
  }
  if (result < 0) return [];
  const { layout } = shape;
  const whole = new Uint8Array(Math.max(layout.size, back.length));
  whole.set(back);
  const values = layout.decode(whole) as Record<string, number | bigint>;
  return fieldsOf(layout).filter((field) => {
    const { offset, bytes } = placeOf(layout, field);
    return field.direction !== "in" && offset + bytes <= back.length;
  }).map((field) =>
    `${field.name} ${namedText(values[field.name]!, namingOfField(field))}`
  );
}
