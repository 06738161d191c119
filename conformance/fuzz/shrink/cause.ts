// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which findings are one.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { Program } from "../../../selftests/target/program.ts";
import { type Difference, stepName } from "../compare/compare.ts";

/**
 * The cause of a difference: what is called, what of it differs and how. No
 * number that depends on the rest of the program is in it, such as an id, and
 * nothing of where in the program it is.
 */
export function causeOf(
  program: Program,
  { step, what, where, ours, theirs }: Difference,
  uapi: RevisionName,
): string {
  const name = step === undefined
    ? ""
    : `${stepName(program, program[step]!, uapi)} `;
  const place = where ? ` ${where}` : "";
  return `${name}${what}${place}${pairOf(what, ours, theirs)}`;
}

/** How both sides differ, where that is not a matter of numbers. */
function pairOf(
  what: Difference["what"],
  ours: string,
  theirs: string,
): string {
  switch (what) {
    case "result":
    case "bytes":
    case "read":
    case "accounting":
      return "";
    case "errno":
    case "ending":
      return ` ${inShort(ours)}/${inShort(theirs)}`;
    case "poll":
      return ` ${ours}/${theirs}`;
    case "problems":
      return ` ${uncounted(ours)}/${uncounted(theirs)}`;
  }
}

/** What is left, however many there are of it. */
function uncounted(problems: string): string {
  return problems.replaceAll(/\d+ ([a-z ]+?)s? (?:is|are) /g, "$1s are ");
}

/** What a step came to, without numbers and reasons. */
function inShort(outcome: string): string {
  return /^\d/.test(outcome) ? "success" : outcome.replace(/ \(.*$/s, "");
}
