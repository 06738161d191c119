// SPDX-License-Identifier: GPL-2.0-only

/**
 * `deno task bench`: `deno bench` with its options; with `--target TARGET`
 * instead the operations on that target, beside the model. What does not choose
 * any operation is an error.
 *
 * @module
 */

import type { Target } from "../selftests/target/target.ts";
import { isRevisionName, REVISION_NAMES } from "../impl/uapi/revision.ts";
import { parseTarget } from "../conformance/targets.ts";
import type { TargetSpec } from "../conformance/targets/target_spec.ts";
import { starting } from "../conformance/running/plan.ts";
import { TargetStartError } from "../conformance/targets/test_target.ts";
import { UsageError } from "../conformance/lib/usage_error.ts";
import { HELP, parseOptions } from "./options.ts";
import { compare } from "./reporting/compare.ts";
import { warmFloors } from "./measuring/floor.ts";
import type { Effort } from "./measuring/measure.ts";
import { TARGET_EFFORT } from "./measuring/measure_target.ts";
import { REVISION } from "./measuring/setup.ts";

/** Milliseconds that a target has for all rounds of a request: without KVM, large ones take seconds. */
const REQUEST_MS = 120_000;

/** Beside a target, the model need not be measured to the digit. */
const MODEL_EFFORT: Effort = {
  warmup: 150,
  measure: 250,
  minRounds: 5,
  maxRounds: 2000,
};

/** Runs `deno bench` on the files, with all arguments. Resolves to its exit code. */
async function denoBench(
  files: readonly string[],
  args: readonly string[],
): Promise<number> {
  const command = new Deno.Command(Deno.execPath(), {
    // What is checked at all is so by "deno check".
    args: ["bench", "--no-check", ...files, ...args],
    cwd: new URL("..", import.meta.url),
  });
  return (await command.spawn().status).code;
}

/** Measures on a target. Resolves to the exit code. */
async function benchTarget(name: string, filter: string): Promise<number> {
  const spec = parseTarget(name);
  const target = await openTarget(spec);
  try {
    warmFloors();
    console.log(
      await compare(target, {
        filter,
        model: MODEL_EFFORT,
        target: TARGET_EFFORT,
        lessCall: spec.emulatesCalls ?? false,
        progress: console.error,
      }),
    );
    return 0;
  } finally {
    await target.close();
  }
}

/** Starts a target that can take the time. Rejects with a {@link UsageError} or {@link TargetStartError}. */
async function openTarget(spec: TargetSpec): Promise<Target> {
  const options = { timeoutMs: REQUEST_MS };
  const revisions = await starting(spec, () => spec.revisions(options));
  const revision = revisions.includes(REVISION) ? REVISION : revisions.at(-1)!;
  const target = await starting(spec, () => spec.open(revision, options));
  const { uapi, capabilities } = target.info;
  if (isRevisionName(uapi) && capabilities.includes("time")) return target;
  await target.close();
  throw new UsageError(
    `Target "${spec.spec}" cannot be timed: that takes a uAPI of ${
      REVISION_NAMES.join(" or ")
    } and the capability "time".`,
  );
}

/** Does what the arguments say. Resolves to the exit code. */
async function run(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  switch (options.action) {
    case "help":
      console.log(HELP.trimEnd());
      return 0;
    case "list":
      console.log(options.names.join("\n"));
      return 0;
    case "target":
      return await benchTarget(options.target, options.filter);
    case "bench":
      return await denoBench(options.files, options.args);
  }
}

/** Runs the command with its arguments. Resolves to the exit code. */
async function main(args: readonly string[]): Promise<number> {
  try {
    return await run(args);
  } catch (error) {
    const known = error instanceof UsageError ||
      error instanceof TargetStartError;
    if (!known) throw error;
    console.error(error.message);
    return 2;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
