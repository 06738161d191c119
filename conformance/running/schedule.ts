// SPDX-License-Identifier: GPL-2.0-only

/**
 * In which order tests run, which of them, and how often.
 *
 * @module
 */

import { Random } from "../../selftests/harness/random.ts";
import {
  type Status,
  STATUSES,
  type TestResult,
  worst,
} from "../reports/results.ts";

/** A part of the tests, for machines that share them: the `index`th of `count`, from 1. */
export interface Shard {
  /** Which part, from 1. */
  readonly index: number;
  /** Of how many. */
  readonly count: number;
}

/** The tests of a shard: every `count`th, so that each shard has some of all fixtures. */
export function shardOf<T>(
  tests: readonly T[],
  { index, count }: Shard,
): T[] {
  return tests.filter((_, place) => place % count === index - 1);
}

/** How tests are repeated. */
export interface Schedule {
  /** How often each test runs. */
  readonly repeat: number;
  /** Decides the order; undefined for the order of the suite. */
  readonly seed?: number | undefined;
}

/**
 * All runs of the tests in order: round after round, each round in an order
 * of its own if there is a seed.
 */
export function scheduleTests<T>(
  tests: readonly T[],
  { repeat, seed }: Schedule,
): T[] {
  const random = seed === undefined ? undefined : new Random(seed);
  const runs: T[] = [];
  for (let round = 0; round < repeat; round++) {
    const order = [...tests];
    random?.shuffle(order);
    runs.push(...order);
  }
  return runs;
}

/**
 * One result for each test: the first of the worst. The order is that of
 * `ids`; results of others, such as probes, come first.
 */
export function mergeRuns(
  results: readonly TestResult[],
  ids: readonly string[],
): TestResult[] {
  const runs = Map.groupBy(results, ({ id }) => id);
  const known = new Set(ids);
  const others = [...runs.keys()].filter((id) => !known.has(id));
  return [...others, ...ids].flatMap((id) => {
    const group = runs.get(id);
    return group === undefined ? [] : [mergeGroup(group)];
  });
}

/** The result of a test that ran several times. A run that it did not come to does not count beside others. */
function mergeGroup(all: readonly TestResult[]): TestResult {
  const ran = all.filter(({ status }) => status !== "notrun");
  const group = ran.length > 0 ? ran : all.slice(0, 1);
  const status = worst(group.map(({ status }) => status));
  const result = group.find((each) => each.status === status)!;
  if (group.length === 1) return result;
  const runs: Partial<Record<Status, number>> = {};
  for (const each of STATUSES) {
    const times = group.reduce((sum, result) => sum + timesOf(result, each), 0);
    if (times > 0) runs[each] = times;
  }
  const durationMs = group.reduce((sum, each) => sum + each.durationMs, 0);
  const cases = mergeRuns(group.flatMap(({ cases = [] }) => cases), []);
  return { ...result, durationMs, runs, ...cases.length > 0 && { cases } };
}

/** How often a result, which may be that of several runs, was of a status. */
function timesOf({ status, runs }: TestResult, wanted: Status): number {
  if (runs) return runs[wanted] ?? 0;
  return status === wanted ? 1 : 0;
}
