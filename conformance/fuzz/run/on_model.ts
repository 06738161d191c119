// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs on the model in this process.
 *
 * @module
 */

import type { Model } from "../../../selftests/target/impl_target.ts";
import {
  type Outcome,
  type Program,
  StepByStep,
} from "../../../selftests/target/program.ts";
import type { Ran } from "../compare/compare.ts";
import { defect } from "../generate/defect.ts";

/** The machine of a program: a small one boots fast. */
export const MACHINE = {
  memory: 64 * 2 ** 20,
  container: "iommufd",
  hasOnlyCard: true,
} as const;

/** What a program comes to on the model. */
export function runOnModel(model: Model, program: Program): Ran {
  const outcomes: Outcome[] = [];
  try {
    const run = new StepByStep(model);
    for (const step of program) outcomes.push(run.make(step));
    return { outcomes, problems: model.reset() };
  } catch (error) {
    return defect(model, program, outcomes, error);
  }
}
