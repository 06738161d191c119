// SPDX-License-Identifier: GPL-2.0-only

/**
 * Hands the selftests to `deno test`, against the model in this process.
 *
 * @module
 */

import { implTarget } from "../../conformance/targets/impl_target.ts";
import { runTest, skipReason } from "../../conformance/running/run_one.ts";
import { REVISION_NAMES } from "../../impl/uapi/revision.ts";
import { allTests } from "../all.ts";

/**
 * Adds a `Deno.test` for each test of the given fixtures in each revision:
 * `id [revision]`. A test that the model cannot run yet is ignored, and its
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
          const result = await runTest(test, target);
          if (result.status === "pass") return;
          const { lastIoctl, lastCall, problems } = result.failure ?? {};
          const made = lastIoctl ?? lastCall;
          throw new Error(
            [
              `${result.status}: ${result.message}`,
              ...made ? [`Last call: ${JSON.stringify(made)}`] : [],
              ...problems ?? [],
              ...result.failure?.stack ? [result.failure.stack] : [],
            ].join("\n"),
          );
        },
      });
    }
  }
}
