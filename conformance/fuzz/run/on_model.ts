// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs on the model in this process.
 *
 * @module
 */

import type { Model } from "../../../selftests/target/impl_target.ts";
import type { Program } from "../../../selftests/target/program.ts";
import type { Ran } from "../compare/compare.ts";

/** The machine of a program: a small one boots fast. */
export const MACHINE = {
  memory: 64 * 2 ** 20,
  container: "iommufd",
  hasOnlyCard: true,
} as const;

/** What `run` comes to on the model, which is reset; a defect of the model is something that is left. */
export function orDefect<T>(
  model: Model,
  run: () => T,
): T | {
  readonly program: Program;
  readonly outcomes: [];
  readonly problems: string[];
} {
  try {
    return run();
  } catch (error) {
    const problems = [`the model failed: ${error}`];
    try {
      model.reset();
    } catch {
      // The next reset begins with another machine.
    }
    return { program: [], outcomes: [], problems };
  }
}

/** What a program comes to on the model. */
export function runOnModel(model: Model, program: Program): Ran {
  return orDefect(model, () => ({
    outcomes: model.program(program),
    problems: model.reset(),
  }));
}
