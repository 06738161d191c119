// SPDX-License-Identifier: GPL-2.0-only

/**
 * Hands the selftests to `deno test`, against the model in this process.
 *
 * @module
 */

import type { TestResult } from "../../conformance/reports/results.ts";
import { implTarget } from "../target/impl_target.ts";
import { runTest, skipReason } from "../../conformance/running/run_one.ts";
import { REVISION_NAMES } from "../../impl/uapi/revision.ts";
import { allTests } from "../all.ts";

/**
 * Adds a `Deno.test` for each test of the given fixtures in each revision:
 * `id [revision]`. Its cases run together, and each by itself. A test that the model cannot run yet is ignored, and its
 * name says why.
 */
export async function denoTests(...fixtures: string[]): Promise<void> {
  for (const uapi of REVISION_NAMES) {
    const target = await implTarget(uapi);
    for (const test of allTests(uapi)) {
      if (!fixtures.includes(test.fixture)) continue;
      const skip = skipReason(test, target.info);
      const why = skip ? ` (skipped: ${skip.reason})` : "";
      Deno.test({
        name: `${test.id} [${uapi}]${why}`,
        ignore: skip !== undefined,
        async fn() {
          const results = [await runTest(test, target)];
          // Cases pass in any selection, so each by itself too.
          for (const each of test.table?.cases ?? []) {
            results.push(await runTest(each, target));
          }
          const lines = results.flatMap(failureLines);
          if (lines.length > 0) throw new Error(lines.join("\n"));
        },
      });
    }
  }
}

/** What there is to tell about a test or case that failed. */
function failureLines({ id, status, message, failure }: TestResult): string[] {
  if (status === "pass") return [];
  const { lastIoctl, lastCall, problems = [], stack } = failure ?? {};
  const made = lastIoctl ?? lastCall;
  return [
    `${id} ${status}: ${message}`,
    ...made ? [`Last call: ${JSON.stringify(made)}`] : [],
    ...problems,
    ...stack === undefined ? [] : [stack],
  ];
}
