// SPDX-License-Identifier: GPL-2.0-only

/**
 * How far up the ladder a target is.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import type { Test } from "../../selftests/harness/harness.ts";
import type { TargetInfo } from "../../selftests/target/target.ts";
import {
  count,
  type Counts,
  isFailure,
  type TestResult,
} from "../reports/results.ts";
import { skipReason } from "../running/run_one.ts";
import { type Step, stepOf, STEPS } from "./steps.ts";
import { measureUses } from "./uses.ts";

/** The tests of a step, and what they came to. */
export interface Rung {
  /** The step. */
  readonly step: Step;
  /** Its tests in the revision. */
  readonly tests: readonly Test[];
  /** Their results; undefined where they were not run, as nothing passed below. */
  readonly results?: readonly TestResult[];
}

/** The tests of a target's revision on their steps; steps that have none are left out. */
export async function rungsOf(
  info: TargetInfo,
  tests: readonly Test[],
): Promise<Rung[]> {
  const uapi = info.uapi as RevisionName;
  // What cannot run, and needs what is far up, need not be known better.
  const asked = tests.filter((test) =>
    stepOf([], test.needs) === 0 || skipReason(test, info) === undefined
  );
  const uses = await measureUses(uapi, asked);
  const byStep = Map.groupBy(
    tests,
    ({ id, needs }) => stepOf(uses[id] ?? [], needs),
  );
  return STEPS.flatMap((step, index) => {
    const tests = byStep.get(index);
    return tests ? [{ step, tests }] : [];
  });
}

/** Runs the tests of one step after the other, by calling `run`, up to the first of which none passes. */
export async function climb(
  rungs: readonly Rung[],
  run: (rung: Rung) => Promise<readonly TestResult[]>,
): Promise<Rung[]> {
  const climbed: Rung[] = [];
  let going = true;
  for (const rung of rungs) {
    if (!going) {
      climbed.push(rung);
      continue;
    }
    const results = await run(rung);
    climbed.push({ ...rung, results });
    going = results.some(({ status }) => status === "pass");
  }
  return climbed;
}

/** How the tests of a step ended; undefined where they were not run. */
export function countsOf({ results }: Rung): Counts | undefined {
  return results && count(results);
}

/** True where nothing of a step is missing: tests pass, none fails, and none is skipped for want of what the step brings. */
export function isDone({ step, results = [] }: Rung): boolean {
  const brought: readonly string[] = [...step.ops, ...step.capabilities];
  const isMissing = ({ reason = "" }: TestResult) =>
    reason.split(/[\s,']+/).some((word) => brought.includes(word));
  return results.some(({ status }) => status === "pass") &&
    !results.some((result) => isFailure(result.status) || isMissing(result));
}
