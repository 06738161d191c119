// SPDX-License-Identifier: GPL-2.0-only

/**
 * Hands the selftests to `deno test`, against the model in this process.
 *
 * @module
 */

import { REVISION_NAMES, type RevisionName } from "../../impl/uapi/revision.ts";
import { allTests } from "../all.ts";
import { offers } from "../target/capabilities.ts";
import type { Test } from "../harness/harness.ts";
import { type ImplOptions, implTarget } from "../target/impl_target.ts";
import { type Target, TargetProcess } from "../target/target.ts";

/**
 * Adds a `Deno.test` for each test of the given fixtures in each revision:
 * `id [revision]`. Its cases run together, and each by itself. A test that the
 * model cannot run yet is ignored, and its name says why.
 */
export async function denoTests(...fixtures: string[]): Promise<void> {
  for (const uapi of REVISION_NAMES) {
    await denoTestsOn(fixtures, uapi, uapi, {});
  }
}

/** As {@link denoTests}, in one revision on a model that is set up as told: `id [label]`. */
export async function denoTestsOn(
  fixtures: readonly string[],
  uapi: RevisionName,
  label: string,
  options: ImplOptions,
): Promise<void> {
  const target = await implTarget(uapi, options);
  const { capabilities } = target.info;
  for (const test of allTests(uapi)) {
    if (!fixtures.includes(test.fixture)) continue;
    const missing = test.needs.filter((need) => !offers(capabilities, need));
    const why = test.skipsItself ??
      (missing.length > 0 ? `needs ${missing}` : undefined);
    Deno.test({
      name: `${test.id} [${label}]${why ? ` (skipped: ${why})` : ""}`,
      ignore: why !== undefined,
      async fn() {
        // Cases pass in any selection, so each by itself too.
        for (const each of [test, ...test.table?.cases ?? []]) {
          await run(each, target);
        }
      },
    });
  }
}

/** Runs a test in a process of its own. Rejects if it fails, or leaves something behind. */
async function run(test: Test, target: Target): Promise<void> {
  let problems: string[] = [];
  try {
    const process = await TargetProcess.spawn(target, test.needs);
    await test.run(process, target.info);
  } catch (error) {
    if (error instanceof Error) error.message = `${test.id}: ${error.message}`;
    throw error;
  } finally {
    problems = await target.reset();
  }
  if (problems.length > 0) throw new Error(`${test.id}: ${problems.join(" ")}`);
}
