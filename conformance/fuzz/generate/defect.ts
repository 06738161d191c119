// SPDX-License-Identifier: GPL-2.0-only

/**
 * A program that the model failed over: that is what it came to.
 *
 * @module
 */

import type { Model } from "../../../selftests/target/impl_target.ts";
import type { Outcome, Program } from "../../../selftests/target/program.ts";

/** A program with what its steps came to, up to that over which the model threw; the model is reset. */
export function defect(
  model: Model,
  program: Program,
  outcomes: readonly Outcome[],
  error: unknown,
): { program: Program; outcomes: Outcome[]; problems: string[] } {
  const reason = `the model failed: ${error}`;
  try {
    model.reset();
  } catch {
    // The next program begins with another machine.
  }
  const over: Outcome = { kind: "died", reason };
  return {
    program,
    outcomes: program.map((_, i) => outcomes[i] ?? over),
    problems: [reason],
  };
}
