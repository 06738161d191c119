// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs a changed program on the model. What it does is not known before.
 *
 * @module
 */

import { EAGAIN } from "../../../impl/uapi/errno.ts";
import type { Model } from "../../../selftests/target/impl_target.ts";
import {
  type Outcome,
  type Program,
  type Step,
  StepByStep,
} from "../../../selftests/target/program.ts";
import type { Generated, GenerateOptions } from "../generate/generate.ts";

/** The calls that wait on Linux where nothing waits in the model. */
const WAITING = new Set(["read", "write", "pread", "pwrite"]);

/** Whether the same would wait on Linux, perhaps for ever. */
function wouldWait({ call: { verb } }: Step, outcome: Outcome): boolean {
  return WAITING.has(verb.name) && outcome.kind === "returned" &&
    outcome.result === -EAGAIN.code;
}

/**
 * Runs a program up to the first step that must not be made, or would wait;
 * what is left of it, and what that came to.
 */
export function runMutant(
  program: Program,
  model: Model,
  before: NonNullable<GenerateOptions["before"]>,
): Generated {
  const run = new StepByStep(model);
  const made: Step[] = [];
  for (const step of program) {
    if (!before(model, run, step)) break;
    if (wouldWait(step, run.make(step))) break;
    made.push(step);
  }
  const outcomes = run.outcomes.slice(0, made.length);
  return { program: made, outcomes, problems: model.reset() };
}
