// SPDX-License-Identifier: GPL-2.0-only

/**
 * When a program reaches a known bug of Linux: a question to the step and to
 * the model's state before it.
 *
 * @module
 */

import {
  hasBug,
  type KnownBug,
} from "../../../selftests/harness/known_bugs.ts";
import type { Model } from "../../../selftests/target/impl_target.ts";
import type { Step, StepByStep } from "../../../selftests/target/program.ts";
import type { Call } from "../../../selftests/target/verbs.ts";

/** How a program reaches a bug. */
export interface Reach {
  /** The bug's name. */
  readonly name: KnownBug;
  /** It hangs, crashes or leaves what later programs trip over: no program may get there. Else it only answers wrongly from there on. */
  readonly isFatal: boolean;
  /** True if the call of a process, the machine's number, reaches it. */
  reaches(model: Model, process: number, call: Call): boolean;
}

/** The table. */
export const REACHES: readonly Reach[] = [];

/** The bug that a step reaches on a target; undefined for none. */
export function reachedBug(
  { uapi, capabilities }: Parameters<typeof hasBug>[0],
  model: Model,
  run: StepByStep,
  step: Step,
): Reach | undefined {
  const resolved = run.resolved(step);
  if (resolved === undefined) return undefined;
  const { number, call } = resolved;
  return REACHES.find((reach) =>
    hasBug({ uapi, capabilities }, reach.name) &&
    reach.reaches(model, number, call)
  );
}
