// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs tests on a target, one after the other, and says how each ended.
 *
 * A test that never awaits cannot be interrupted: with an in-process target
 * the time limit only ends a test that waits for something.
 *
 * @module
 */

import type { RevisionName } from "../impl/uapi/revision.ts";
import { AssertionFailure, type Test } from "../selftests/harness.ts";
import { Recorder } from "./recorder.ts";
import type { Failure, RevisionRun, TestResult } from "./results.ts";
import type { Target, TargetInfo } from "./target.ts";

/** The time limit of a test in milliseconds: that of the kernel's harness. */
export const DEFAULT_TIMEOUT_MS = 30_000;

/** How tests are run. */
export interface RunOptions {
  /** Milliseconds after which a test counts as hung; default 30 s. */
  readonly timeoutMs?: number;
}

/** What a body came to, before the target was looked at. */
type Outcome = Pick<TestResult, "status" | "message"> & {
  readonly assertion?: Pick<Failure, "assertion" | "expected" | "actual">;
  readonly stack?: string | undefined;
};

const PASS: Outcome = { status: "pass" };

/**
 * Runs one test in a process of its own. Never rejects: what the target does
 * wrong is in the result. Afterwards no process of the test is left.
 */
export async function runTest(
  test: Test,
  target: Target,
  options: RunOptions = {},
): Promise<TestResult> {
  const { info } = target;
  const about = {
    id: test.id,
    fixture: test.fixture,
    variant: test.variant,
    upstream: test.upstream,
    uapi: info.uapi as RevisionName,
  };
  const skip = skipReason(test, info);
  if (skip !== undefined) {
    const { reason, message } = skip;
    return { ...about, status: "skip", durationMs: 0, reason, message };
  }

  const start = performance.now();
  const recorder = new Recorder(info);
  const body = await runBody(test, target, recorder, options);
  recorder.end();
  const { outcome, problems } = await checkTarget(target, body);
  const durationMs = Math.round((performance.now() - start) * 100) / 100;
  if (outcome.status === "pass") {
    return { ...about, status: "pass", durationMs };
  }
  return {
    ...about,
    status: outcome.status,
    durationMs,
    message: outcome.message!,
    failure: failureOf(outcome, problems, recorder),
  };
}

/** Why a target cannot run a test: few words to count by, and a sentence. Undefined if it can. */
export function skipReason(
  test: Test,
  info: TargetInfo,
): { reason: string; message: string } | undefined {
  if (!test.uapi.includes(info.uapi as RevisionName)) {
    return {
      reason: `only in uAPI ${test.uapi.join(", ")}`,
      message: `The target has uAPI ${info.uapi}, and the test is for ${
        test.uapi.join(", ")
      }`,
    };
  }
  const missing = test.needs.filter((need) =>
    !info.capabilities.includes(need)
  );
  if (missing.length === 0) return undefined;
  const names = [...new Set(missing)].join(", ");
  return {
    reason: `needs ${names}`,
    message: `The target ${info.name} does not offer ${names}`,
  };
}

/** Runs a test's body and waits for it, but not for ever. */
async function runBody(
  test: Test,
  target: Target,
  recorder: Recorder,
  options: RunOptions,
): Promise<Outcome> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<Outcome>((resolve) => {
    timer = setTimeout(() => {
      const message = `No end after ${timeoutMs / 1000} seconds`;
      resolve({ status: "timeout", message });
    }, timeoutMs);
  });
  async function run(): Promise<Outcome> {
    try {
      const process = recorder.wrap(await target.spawn());
      await test.run(process, target.info);
      return PASS;
    } catch (error) {
      return outcomeOf(error);
    }
  }
  try {
    return await Promise.race([run(), timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** What an exception of a test means. */
function outcomeOf(error: unknown): Outcome {
  if (error instanceof AssertionFailure) {
    const { message, what, expected, actual } = error;
    return {
      status: "fail",
      message,
      assertion: { assertion: what, expected, actual },
    };
  }
  if (error instanceof Error) {
    const { name, message, stack } = error;
    return { status: "error", message: `${name}: ${message}`, stack };
  }
  return { status: "error", message: `Thrown: ${String(error)}` };
}

/** Ends the processes of a test; what they left behind turns a pass into a failure. */
async function checkTarget(
  target: Target,
  body: Outcome,
): Promise<{ outcome: Outcome; problems: readonly string[] }> {
  let problems: string[];
  try {
    problems = await target.reset();
  } catch (error) {
    const { message } = outcomeOf(error);
    if (body.status !== "pass") {
      return { outcome: body, problems: [`The reset failed: ${message}`] };
    }
    return { outcome: outcomeOf(error), problems: [] };
  }
  if (problems.length === 0 || body.status !== "pass") {
    return { outcome: body, problems };
  }
  return {
    outcome: { status: "fail", message: problems.join(" ") },
    problems,
  };
}

/** The details of a failure. */
function failureOf(
  outcome: Outcome,
  problems: readonly string[],
  recorder: Recorder,
): Failure {
  const { calls, lastCall, lastIoctl } = recorder;
  return {
    ...outcome.assertion,
    calls,
    ...lastCall && { lastCall },
    ...lastIoctl && { lastIoctl },
    problems,
    ...outcome.stack !== undefined && { stack: outcome.stack },
  };
}

/** What {@link runTests} needs beside the tests. */
export interface RunTestsOptions extends RunOptions {
  /** Starts the target; called again after a test that may have broken it. */
  readonly open: () => Promise<Target>;
  /** Called before each test with the number of tests that are done. */
  readonly onTest?: (test: Test, done: number) => void;
}

/**
 * Runs tests in order. Rejects only when the target cannot be started.
 */
export async function runTests(
  uapi: RevisionName,
  tests: readonly Test[],
  options: RunTestsOptions,
): Promise<RevisionRun> {
  const results: TestResult[] = [];
  let target = await options.open();
  try {
    const { name, version } = target.info;
    for (const [done, test] of tests.entries()) {
      options.onTest?.(test, done);
      const result = await runTest(test, target, options);
      results.push(result);
      if (result.status === "error" || result.status === "timeout") {
        await target.close();
        target = await options.open();
      }
    }
    return { uapi, target: name, targetVersion: version, results };
  } finally {
    await target.close();
  }
}
