// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs a changed program on the model. What it does is not known before.
 *
 * @module
 */

import { EAGAIN } from "../../../impl/uapi/errno.ts";
import {
  type Outcome,
  type Program,
  type Step,
  StepByStep,
} from "../../../selftests/target/program.ts";
import { defect } from "../generate/defect.ts";
import { endProgram, stateAfter } from "../generate/ending.ts";
import type { Generated, GenerateOptions } from "../generate/generate.ts";
import { shapesOf } from "../generate/known/shapes.ts";
import type { Before } from "../generate/maker.ts";

/** The calls that wait on Linux where nothing waits in the model. */
const WAITING = new Set(["read", "write", "pread", "pwrite"]);

/** Whether the same would wait on Linux, perhaps for ever. */
function wouldWait({ call: { verb } }: Step, outcome: Outcome): boolean {
  return WAITING.has(verb.name) && outcome.kind === "returned" &&
    outcome.result === -EAGAIN.code;
}

/** What a changed program runs on, and what must not be made. */
type MutantOptions =
  & Pick<GenerateOptions, "model" | "uapi">
  & { readonly before: Before };

/**
 * Runs a program up to the first step that must not be made, or would wait, and
 * ends it; what is left of it, and what that came to.
 */
export function runMutant(program: Program, options: MutantOptions): Generated {
  const { model, uapi, before } = options;
  const run = new StepByStep(model);
  const made: Step[] = [];
  try {
    for (const step of program) {
      if (!before(model, run, step)) break;
      made.push(step);
      if (!wouldWait(step, run.make(step))) continue;
      model.reset();
      return runMutant(made.slice(0, -1), options);
    }
    const world = stateAfter(made, run, shapesOf(uapi), model);
    endProgram({ model, run, world, uapi, before }, made);
    return { program: made, outcomes: run.outcomes, problems: model.reset() };
  } catch (error) {
    return defect(model, made, run.outcomes, error);
  }
}
