// SPDX-License-Identifier: GPL-2.0-only

/**
 * Times scenarios on a target, in a loop that is the target's own: the way to
 * it is not part of what is timed.
 *
 * @module
 */

import { type Target, TargetProcess } from "../../selftests/target/target.ts";
import { type Result, resultOf } from "./measure.ts";
import type { Scenario } from "./scenario.ts";
import { openIommufd, Setup } from "./setup.ts";
import { REQUEST_CALLS, timedRound, timeRound } from "./timed_round.ts";

/** How long to measure on a target. */
export interface TargetEffort {
  /** Milliseconds of calls in one request, if one round does not take longer. */
  readonly request: number;
  /** Most rounds in one request. */
  readonly maxRounds: number;
  /** Requests; each makes one number. */
  readonly requests: number;
}

/** Long enough that a request does not matter, short enough to see them all. */
export const TARGET_EFFORT: TargetEffort = {
  request: 50,
  maxRounds: 1000,
  requests: 5,
};

/** Requests where a single one takes many seconds. */
const SLOW_REQUESTS = 2;

/**
 * The groups whose scenarios prepare and make their calls by what a target can
 * do. The others prepare with the model itself, or read, write and fork.
 */
const GROUPS: readonly string[] = [
  "system calls",
  "objects",
  "map",
  "copy",
  "access",
  "vfio",
  "dirty",
];

/** True for a scenario that means the same on a target: in which order frames lie, only the model can be told. */
export function canTime(
  { group, frameOrder, onTargets = GROUPS.includes(group) }: Scenario,
): boolean {
  return onTargets && frameOrder === undefined;
}

/**
 * Measures all operations of a scenario. Rejects if a call does not do what it
 * should, and if something is left behind.
 */
export async function measureOnTarget(
  target: Target,
  scenario: Scenario,
  effort: TargetEffort,
): Promise<Result[]> {
  if (!target.info.capabilities.includes("time")) {
    throw new Error(`${target.info.name} has no capability "time"`);
  }
  const process = await TargetProcess.spawn(target);
  const setup = new Setup(await openIommufd(process, target.info));
  const round = timedRound(await scenario.prepare(setup));
  if (round === undefined) {
    throw new Error("A target cannot time a call of this scenario");
  }
  const request = (rounds: number) => timeRound(process, round, rounds);
  const first = await request(1);
  const once = [...first.values()].reduce((a, b) => a + b) / 1e6;
  const fitting = Math.floor(effort.request / once);
  const most = round.length > REQUEST_CALLS ? 1 : effort.maxRounds;
  const rounds = Math.max(1, Math.min(most, fitting));
  const requests = scenario.slow ? SLOW_REQUESTS : effort.requests;
  const sums = rounds === 1 ? [first] : [];
  while (sums.length < requests) sums.push(await request(rounds));
  const problems = await target.reset();
  if (problems.length > 0) throw new Error(problems.join(" "));
  return Object.entries(scenario.operations).map(([key, operation]) =>
    resultOf(operation, sums.map((sum) => sum.get(key)! / 1e6 / rounds))
  );
}
