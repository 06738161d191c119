// SPDX-License-Identifier: GPL-2.0-only

/**
 * The loop: programs come from a source with what they came to on our side,
 * run on the other sides, and are compared.
 *
 * @module
 */

import type { Outcome, Program } from "../../../selftests/target/program.ts";
import { TargetStartError } from "../../targets/test_target.ts";
import { compare, type Difference, type Ran } from "../compare/compare.ts";
import type { Masks } from "../compare/masks.ts";
import { explains, type Reach } from "../compare/known_bugs.ts";
import { kindsOfProblems } from "../compare/problems.ts";
import type { Cause, Findings, Found, Shrink } from "./findings.ts";
import { type Failure, isFailure, type Side } from "./side.ts";
import type { Totals } from "./totals.ts";

/** How many programs are under way at a time on a target: it never waits for the next one. */
const UNDER_WAY = 16;

/** A program that was made. */
export interface Sample {
  readonly program: Program;
  /** What it came to on our side. */
  readonly ours: Ran;
  /** What repeats it. */
  readonly seed: string;
  /** The known bugs of Linux that it reaches and that may answer wrongly from a step on. */
  readonly reached: readonly { readonly step: number; readonly bug: Reach }[];
}
/** How a side's answer is judged: what is wrong with it from a step on, if anything. */
export type Judge = (
  program: Program,
  ours: Ran,
  theirs: Ran,
  from?: number,
) => Difference | undefined;

/** What the loop works with. */
export interface FuzzerOptions {
  /** Makes the next program; undefined when there is none. */
  readonly next: () => Promise<Sample | undefined>;
  /** Runs a program on our side once more. */
  readonly ours: (program: Program) => Ran;
  /** The other sides. */
  readonly sides: readonly Side[];
  /** How many programs each runs at once; default 1. */
  readonly jobs?: number;
  /** How answers are judged. */
  readonly judge: Judge;
  readonly totals: Totals;
  readonly findings: Findings;
  /** Makes programs of findings smaller: `isStill` says whether one still shows the same; `outcomes` are those on our side. */
  readonly shrink: (
    program: Program,
    isStill: (smaller: Program) => Promise<boolean>,
    outcomes: readonly Outcome[],
  ) => Promise<Program>;
  /** Is told of each new cause. */
  readonly onCause: (cause: Cause) => void;
  /** Is told of each program that was judged. */
  readonly onProgram?: () => void;
}

/** Judges by comparison with our side. */
export function byComparison(masks: Masks): Judge {
  return (program, ours, theirs, from) =>
    compare(program, ours, theirs, masks, from);
}

/** Judges what must not happen whatever the behaviour: processes that die, warnings, what is left. */
export const byInvariants: Judge = (_program, ours, theirs) => {
  const died = theirs.outcomes.findIndex(({ kind }) => kind === "died");
  const outcome = theirs.outcomes[died];
  if (outcome?.kind === "died") {
    const text = `step ${died}: the process died: ${outcome.reason}`;
    return difference(died, "ending", "it lives", "it died", text);
  }
  // What the program itself left, such as a file, is no fault.
  const expected = new Set(kindsOfProblems(ours.problems));
  const kinds = kindsOfProblems(theirs.problems)
    .filter((kind) => !expected.has(kind));
  if (kinds.length === 0) return undefined;
  const left = kinds.join(", ");
  const text = `what is left after all processes ended: ${left}`;
  return difference(undefined, "problems", "nothing", left, text);
};

function difference(
  step: number | undefined,
  what: Difference["what"],
  ours: string,
  theirs: string,
  text: string,
): Difference {
  return { step, what, ours, theirs, text };
}

/** A side that did not get through, as a difference. */
function differenceOf({ failed, message }: Failure): Difference {
  const text = `the other side did not get through (${failed}): ${message}`;
  return difference(undefined, "ending", "got through", failed, text);
}

/** A program that runs on a side. */
interface UnderWay {
  readonly sample: Sample;
  readonly side: Side;
  readonly answer: Promise<Ran | Failure>;
}

/**
 * Runs programs until there are none, or until `stop` says so. Rejects with
 * {@link TargetStartError} where a side broke and does not start again.
 */
export async function fuzz(
  options: FuzzerOptions,
  stop: () => boolean,
): Promise<void> {
  const underWay: UnderWay[] = [];
  const most = UNDER_WAY * (options.jobs ?? 1);
  let more = true;
  for (;;) {
    while (more && underWay.length < most) {
      const sample = stop() ? undefined : await options.next();
      more = sample !== undefined;
      if (sample === undefined) break;
      options.totals.count(sample.program, sample.ours.outcomes);
      for (const side of options.sides) {
        const answer = side.run(sample.program);
        underWay.push({ sample, side, answer });
      }
    }
    const oldest = underWay.shift();
    if (oldest === undefined) return;
    await judge(options, oldest.sample, oldest.side, await oldest.answer);
    options.onProgram?.();
  }
}

/** What is wrong with an answer, from a step on. */
function found(
  { judge }: FuzzerOptions,
  program: Program,
  ours: Ran,
  theirs: Ran | Failure,
  from?: number,
): Found | undefined {
  const got = isFailure(theirs) ? { outcomes: [], problems: [] } : theirs;
  const difference = isFailure(theirs)
    ? differenceOf(theirs)
    : judge(program, ours, theirs, from);
  return difference && { program, difference, ours, theirs: got };
}

/** What is wrong with an answer that nothing explains which the program reached. */
function unexplained(
  options: FuzzerOptions,
  { program, ours, reached }: Sample,
  theirs: Ran | Failure,
): Found | undefined {
  for (let from = 0;;) {
    const wrong = found(options, program, ours, theirs, from);
    if (wrong === undefined) return undefined;
    const { difference } = wrong;
    const known = reached.find(({ step, bug }) =>
      explains(bug, step, difference)
    );
    if (known === undefined) return wrong;
    options.totals.met(known.bug.name);
    if (!known.bug.once) return undefined;
    from = known.step + 1;
  }
}

/** Judges an answer, and tells of it if it is wrong for a new reason. */
async function judge(
  options: FuzzerOptions,
  sample: Sample,
  side: Side,
  theirs: Ran | Failure,
): Promise<void> {
  if (isFailure(theirs) && theirs.failed === "start") {
    throw new TargetStartError(theirs.message);
  }
  const wrong = unexplained(options, sample, theirs);
  if (wrong === undefined) return;
  const cause = await options.findings.add(
    wrong,
    sample.seed,
    side.name,
    shrinkOn(options, side),
  );
  if (cause) options.onCause(cause);
}

/** Makes what was found smaller, on our side and the one that it was found on. */
function shrinkOn(options: FuzzerOptions, side: Side): Shrink {
  return async (first, cause) => {
    let smallest = first;
    const again = async (program: Program) => {
      const theirs = await side.run(program);
      return found(options, program, options.ours(program), theirs);
    };
    await options.shrink(first.program, async (smaller) => {
      const still = await again(smaller);
      const same = still !== undefined &&
        options.findings.causeOf(smaller, still.difference) === cause;
      if (same) smallest = still;
      return same;
    }, first.ours.outcomes);
    return smallest;
  };
}
