// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs a test on a target and says how it ended.
 *
 * A test that never awaits cannot be interrupted: with an in-process target
 * the time limit only ends a test that waits for something.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import {
  AssertionFailure,
  type RunHooks,
  type Test,
} from "../../selftests/harness/harness.ts";
import { offers } from "../../selftests/target/capabilities.ts";
import { hasBug, KNOWN_BUGS } from "../../selftests/harness/known_bugs.ts";
import { Recorder } from "../traces/recorder.ts";
import type { AboutTest, Failure, TestResult } from "../reports/results.ts";
import {
  type Target,
  type TargetInfo,
  TargetProcess,
} from "../../selftests/target/target.ts";
import { TargetFailure } from "../../selftests/target/target_failure.ts";
import { printable } from "../lib/printable.ts";
import { SUITE_NAME, VERSION } from "../lib/version.ts";
import { within } from "../lib/within.ts";
import { LacksOperation, withoutLackingOps } from "./lacking_ops.ts";

/** The time limit of a test in milliseconds: that of the kernel's harness. */
export const DEFAULT_TIMEOUT_MS = 30_000;
/** What a target has for a reset after a test that timed out: it is likely stuck. */
const LATE_RESET_MS = 250;
/** What standard error has to arrive after the reply that came with it. */
const STDERR_MS = 5;

/** How tests are run. */
export interface RunOptions {
  /** Milliseconds after which a test counts as hung; default 30 s. */
  readonly timeoutMs?: number;
  /** Capabilities that the target names and does not have: who needs one is skipped. */
  readonly broken?: ReadonlySet<string>;
}

/** What a body came to, before the target was looked at. */
type Outcome = Pick<TestResult, "status" | "message" | "reason"> & {
  readonly assertion?: Pick<Failure, "assertion" | "expected" | "actual">;
  readonly stack?: string | undefined;
  /** The line of the test that failed. */
  readonly where?: string;
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
  const about = aboutTest(test, target.info);
  const skip = skipReason(test, target.info, options.broken);
  if (skip !== undefined) {
    return { ...about, status: "skip", durationMs: 0, ...skip };
  }

  const start = performance.now();
  const recorder = new Recorder(target);
  // What it wrote before is not this test's.
  target.takeStderr?.();
  const notes = new Set<string>();
  const begun: { id: string; at: number }[] = [];
  const body = await runBody(test, target, recorder, options, {
    note: (text) => notes.add(text),
    begin: (id) => begun.push({ id, at: performance.now() }),
  });
  recorder.end();
  const { outcome, problems } = printable(
    await checkTarget(recorder, body, options),
  );
  const end = performance.now();
  const durationMs = millis(start, end);
  const said = notes.size > 0 ? { notes: [...notes] } : {};
  const { status, reason } = outcome;
  const result = { ...about, status, durationMs, ...said };
  if (status === "pass") {
    const cases = test.table?.cases.map((each, index): TestResult => ({
      ...aboutTest(each, target.info),
      status,
      durationMs: millis(begun[index]!.at, begun[index + 1]?.at ?? end),
    }));
    return { ...result, ...cases && { cases } };
  }
  if (reason !== undefined) {
    return { ...result, reason, message: outcome.message! };
  }
  return {
    ...result,
    message: outcome.message!,
    failure: printable({
      ...failureOf(outcome, problems, recorder),
      ...await stderrOf(target),
    }),
    transcript: {
      text: recorder.transcript([
        `${SUITE_NAME} ${VERSION}`,
        `test ${test.id}`,
        `on ${target.info.name} ${target.info.version}, uAPI ${about.uapi}`,
        `${status}: ${outcome.message}`,
      ]),
    },
  };
}

/** Milliseconds from one time to another, as results have them. */
function millis(from: number, to: number): number {
  return Math.round((to - from) * 100) / 100;
}

/** The part of a result that does not depend on the run. */
export function aboutTest(
  { id, fixture, variant, program, description, reference, rules }: Test,
  { uapi }: Pick<TargetInfo, "uapi">,
): AboutTest {
  return {
    ...{ id, fixture, variant, program, description, reference, rules },
    uapi: uapi as RevisionName,
  };
}

/** Why a target cannot run a test: few words to count by, and a sentence. Undefined if it can. */
export function skipReason(
  test: Test,
  info: TargetInfo,
  broken: ReadonlySet<string> = new Set(),
): { reason: string; message: string } | undefined {
  if (!test.uapi.includes(info.uapi as RevisionName)) {
    return {
      reason: `only in uAPI ${test.uapi.join(", ")}`,
      message: `The target has uAPI ${info.uapi}, and the test is for ${
        test.uapi.join(", ")
      }`,
    };
  }
  const { knownBug, skipsItself } = test;
  if (skipsItself !== undefined) {
    return { reason: "the test skips itself", message: skipsItself };
  }
  if (knownBug !== undefined && hasBug(info, knownBug)) {
    return {
      reason: `not applicable: bug ${knownBug} of Linux`,
      message: `Linux has a known bug there: ${KNOWN_BUGS[knownBug].linux}`,
    };
  }
  const missing = test.needs.filter((need) => !offers(info.capabilities, need));
  if (missing.length === 0) return brokenReason(test, broken);
  const names = [...new Set(missing)].join(", ");
  return {
    reason: `needs ${names}`,
    message: printable(`The target ${info.name} does not offer ${names}`),
  };
}

/** The same for capabilities whose probe failed. */
function brokenReason(
  { needs }: Test,
  broken: ReadonlySet<string>,
): { reason: string; message: string } | undefined {
  const names = [...new Set(needs)].filter((need) => broken.has(need));
  if (names.length === 0) return undefined;
  return {
    reason: `needs ${names.join(", ")}, which failed its probe`,
    message: `The target says that it has ${names.join(", ")}, and ${
      names.map((name) => `probe.${name}`).join(", ")
    } failed`,
  };
}

/** Runs a test's body and waits for it, but not for ever. */
async function runBody(
  test: Test,
  target: Target,
  recorder: Recorder,
  options: RunOptions,
  hooks: RunHooks,
): Promise<Outcome> {
  async function run(): Promise<Outcome> {
    try {
      const caller = withoutLackingOps(recorder, target.info);
      const process = await TargetProcess.spawn(caller, test.needs);
      await test.run(process, target.info, hooks);
      return PASS;
    } catch (error) {
      return outcomeOf(error);
    }
  }
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  return await within(timeoutMs, run()) ?? {
    status: "timeout",
    message: `No end after ${timeoutMs / 1000} seconds`,
  };
}

/** What an exception of a test means. */
function outcomeOf(error: unknown): Outcome {
  if (error instanceof AssertionFailure) {
    const { message, what, expected, actual } = error;
    return {
      status: "fail",
      message,
      assertion: { assertion: what, expected, actual },
      ...placeOf(error),
    };
  }
  if (error instanceof TargetFailure) {
    const { status, message } = error;
    return { status, message };
  }
  if (error instanceof LacksOperation) {
    const { message } = error;
    return {
      status: "skip",
      reason: message,
      message: `The test ${message}, which the target does not have`,
    };
  }
  if (error instanceof Error) {
    const { name, message, stack } = error;
    return { status: "error", message: `${name}: ${message}`, stack };
  }
  return { status: "error", message: `Thrown: ${String(error)}` };
}

/** A line of a test's own source in a stack, behind whatever the package is loaded from. */
const OWN_LINE = /selftests\/(?!harness\/|ioctls\/|target\/)[^\s()]+\.ts:\d+/;

/** The line of the test in which an assertion did not hold. */
function placeOf({ stack = "" }: Error): { where?: string } {
  const [where] = OWN_LINE.exec(stack) ?? [];
  return where === undefined ? {} : { where };
}

/** Ends the processes of a test; what they left behind turns a pass into a failure. */
async function checkTarget(
  recorder: Recorder,
  body: Outcome,
  options: RunOptions,
): Promise<{ outcome: Outcome; problems: readonly string[] }> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const limitMs = body.status === "timeout"
    ? Math.min(timeoutMs, LATE_RESET_MS)
    : timeoutMs;
  let problems: string[];
  try {
    const found = await within(limitMs, recorder.reset());
    if (found === undefined) {
      const seconds = limitMs / 1000;
      const message = `The reset took longer than ${seconds} seconds`;
      throw new TargetFailure("timeout", message);
    }
    problems = found;
  } catch (error) {
    const reset = outcomeOf(error);
    if (body.status === "pass") return { outcome: reset, problems: [] };
    // A target that is gone is told of once.
    const known = reset.message === body.message;
    return {
      outcome: body,
      problems: known ? [] : [`The reset failed: ${reset.message}`],
    };
  }
  if (problems.length === 0 || body.status !== "pass") {
    return { outcome: body, problems };
  }
  return {
    outcome: { status: "fail", message: problems.join(" ") },
    problems,
  };
}

/** What the target wrote to standard error since the test began. */
async function stderrOf(target: Target): Promise<{ stderr?: string }> {
  if (target.takeStderr === undefined) return {};
  await new Promise((resolve) => setTimeout(resolve, STDERR_MS));
  const stderr = target.takeStderr();
  return stderr === "" ? {} : { stderr };
}

/** The details of a failure. */
function failureOf(
  outcome: Outcome,
  problems: readonly string[],
  recorder: Recorder,
): Failure {
  return {
    ...outcome.assertion,
    calls: recorder.calls,
    ...recorder.told,
    problems,
    ...outcome.where !== undefined && { where: outcome.where },
    ...outcome.stack !== undefined && { stack: outcome.stack },
  };
}
