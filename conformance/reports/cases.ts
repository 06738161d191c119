// SPDX-License-Identifier: GPL-2.0-only

/**
 * Results of tests that consist of cases.
 *
 * @module
 */

import { count, type TestResult, worst } from "./results.ts";
import { otherWays } from "./summary.ts";

/**
 * What a test came to whose cases came to this. `own` is the result of running
 * them together, where that failed although each case passes by itself.
 */
export function sumUp(
  { id, description }: Pick<TestResult, "id" | "description">,
  cases: readonly TestResult[],
  own?: TestResult,
): TestResult {
  const [first] = cases;
  const { fixture, variant, program, uapi, reference, rules } = first!;
  const all = own === undefined ? cases : [...cases, own];
  const status = worst(all.map(({ status }) => status));
  if (status === "skip") return { ...first!, id, description };
  const notes = all.flatMap(({ notes = [] }) => notes);
  const ways = otherWays(count(cases)).join(", ");
  return {
    ...{ id, fixture, variant, program, uapi, description, reference, rules },
    ...own,
    status,
    durationMs: all.reduce((sum, { durationMs }) => sum + durationMs, 0),
    ...notes.length > 0 && { notes },
    ...status !== "pass" && {
      message: own?.message ?? `${cases.length} cases: ${ways}`,
    },
    cases,
  };
}

/**
 * What has a verdict of its own: tests without cases, cases, and tests that
 * failed although each of their cases passes.
 */
export function verdictsOf(results: readonly TestResult[]): TestResult[] {
  return results.flatMap((result) => {
    const { cases } = result;
    if (cases === undefined) return [result];
    return result.failure === undefined ? cases : [result, ...cases];
  });
}
