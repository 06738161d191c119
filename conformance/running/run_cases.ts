// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs a test with cases so that each of them has a verdict of its own.
 *
 * @module
 */

import type { Test } from "../../selftests/harness/harness.ts";
import { sumUp } from "../reports/cases.ts";
import { isBreak, isFailure, type TestResult } from "../reports/results.ts";

/** How often the cases of one test may break the target. */
const MAX_BREAKS = 3;

/** Why the cases behind those do not run. */
const TOO_OFTEN = `${MAX_BREAKS} other cases of the test broke the target`;

/**
 * Runs a test by calling `run`, which with a reason only says that it did not
 * run. The cases of one that has some run together. If that does not pass,
 * each runs again by itself: no verdict depends on another case, and the calls
 * that are told are those of one case.
 */
export async function runCases(
  test: Test,
  run: (test: Test, notRun?: string) => Promise<TestResult>,
): Promise<TestResult> {
  const { cases } = test.table ?? {};
  if (cases === undefined) return await run(test);
  const together = cases.length > 1 ? await run(test) : undefined;
  if (together?.status === "pass") return together;

  const alone: TestResult[] = [];
  let breaks = 0;
  for (const each of cases) {
    const result = breaks < MAX_BREAKS
      ? await run(each)
      : await run(each, TOO_OFTEN);
    if (isBreak(result.status)) breaks++;
    alone.push(result);
  }
  const onlyTogether = together !== undefined && isFailure(together.status) &&
    !alone.some(({ status }) => isFailure(status));
  if (!onlyTogether) return sumUp(test, alone);
  return sumUp(test, alone, {
    ...together,
    message:
      `Each case passes by itself, but not all of them do together: ${together.message}`,
  });
}
