// SPDX-License-Identifier: GPL-2.0-only

/**
 * The same operations on a target and on the model, in one table.
 *
 * @module
 */

import type { Target } from "../../selftests/target/target.ts";
import type { RevisionName } from "../../impl/uapi/revision.ts";
import { AssertionFailure } from "../../selftests/harness/harness.ts";
import { type Effort, measure, type Result } from "../measuring/measure.ts";
import {
  canTime,
  measureOnTarget,
  type TargetEffort,
} from "../measuring/measure_target.ts";
import { allScenarios } from "../operations.ts";
import {
  isNamed,
  namesOf,
  operationName,
  type Scenario,
} from "../measuring/scenario.ts";
import { formatRows, formatTime } from "./table.ts";

/** What is compared, and how long. */
export interface CompareOptions {
  /** What the name of an operation or its group must contain. */
  readonly filter: string;
  /** How long to measure the model. */
  readonly model: Effort;
  /** How long to measure the target. */
  readonly target: TargetEffort;
  /** Whether what a call costs that does nothing is taken off there. */
  readonly lessCall: boolean;
  /** Takes a line that says how far it is. */
  readonly progress: (line: string) => void;
}

/** The scenarios that a target can run and that have the text in a name. */
export function scenariosToCompare(filter: string): Scenario[] {
  return allScenarios().filter((scenario) =>
    canTime(scenario) && isNamed(scenario, filter)
  );
}

/**
 * Measures on both; returns the table. What the target has not got enough
 * memory for, or does not know, has no figure there.
 */
export async function compare(
  target: Target,
  options: CompareOptions,
): Promise<string> {
  const { name, version } = target.info;
  const scenarios = scenariosToCompare(options.filter);
  const floor = options.lessCall ? await callFloor(target, options) : 0;
  const less = floor === 0 ? "" : `, less ${formatTime(floor)} a call`;
  const revision = target.info.uapi as RevisionName;
  const rows: string[][] = [];
  for (const [i, scenario] of scenarios.entries()) {
    options.progress(`${i + 1}/${scenarios.length} ${namesOf(scenario)[0]}`);
    const there = await measureThere(target, scenario, options);
    const here = await measure(scenario, options.model, revision);
    rows.push(...here.map((result, i) => rowOf(result, there?.[i], floor)));
  }
  const headings = [
    "operation",
    "model",
    `${name} ${version}${less}`,
    "× model",
  ];
  return formatRows(headings, rows);
}

/** Milliseconds of a call there that does nothing. */
async function callFloor(
  target: Target,
  options: CompareOptions,
): Promise<number> {
  const [nothing] = scenariosToCompare("ioctl that does not exist (ENOTTY)");
  const [result] = await measureOnTarget(target, nothing!, options.target);
  return result!.times[0]!;
}

/** The target's results; undefined if it cannot be prepared for the scenario. */
async function measureThere(
  target: Target,
  scenario: Scenario,
  options: CompareOptions,
): Promise<Result[] | undefined> {
  try {
    return await measureOnTarget(target, scenario, options.target);
  } catch (error) {
    if (!(error instanceof AssertionFailure)) throw error;
    options.progress(`  not on ${target.info.name}: ${error.message}`);
    await target.reset();
    return undefined;
  }
}

function rowOf(
  here: Result,
  there: Result | undefined,
  floor: number,
): string[] {
  // The fastest: what other work disturbed least, as in the report.
  const model = here.times[0]!;
  const other = there && Math.max(0, there.times[0]! - floor);
  return [
    operationName(here.operation),
    formatTime(model),
    other === undefined ? "" : formatTime(other),
    other === undefined ? "" : (other / model).toFixed(2),
  ];
}
