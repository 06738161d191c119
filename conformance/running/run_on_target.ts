// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs many tests: starts targets, probes them, starts them again when they
 * broke, and gives up when that does not help.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import type { Test } from "../../selftests/harness/harness.ts";
import { PROBE_FIXTURE, probeTests } from "../targets/probes.ts";
import { verdictsOf } from "../reports/cases.ts";
import { printable } from "../lib/printable.ts";
import {
  isBreak,
  type RevisionRun,
  type TestResult,
} from "../reports/results.ts";
import { type Interrupted, unlessAborted } from "../lib/interrupted.ts";
import { runCases } from "./run_cases.ts";
import {
  aboutTest,
  DEFAULT_TIMEOUT_MS,
  type RunOptions,
  runTest,
} from "./run_one.ts";
import type { Target, TargetInfo } from "../../selftests/target/target.ts";
import { TargetStartError, TestTarget } from "../targets/test_target.ts";

/** How often a new target is started for its own sake: once, for each fixture and variant, for each test. */
export const ISOLATIONS = ["run", "fixture", "test"] as const;

/** How often a new target is started for its own sake. */
export type Isolation = typeof ISOLATIONS[number];

/** Why tests did not run that a run did not come to before somebody ended it, in words to count by. */
export const INTERRUPTED = "the run was interrupted";

/** How often targets may break in a run. */
const MAX_BREAKS = 50;
/** The same for targets with which no test came to a verdict yet. */
const MAX_BREAKS_IN_VAIN = 5;
/** Milliseconds after which whoever else waits gets a turn: a target in this process leaves none. */
const TURN_MS = 50;

/** What {@link runTests} needs beside the tests. */
export interface RunTestsOptions extends RunOptions {
  /** Starts a target; called again after a test that may have broken the one before. */
  readonly open: () => Promise<Target>;
  /** Called before each test with the number of tests that are done. */
  readonly onTest?: (test: Test, done: number) => void;
  /** Called after each test. What it returns ends the run, and says why in a sentence. */
  readonly onResult?: (result: TestResult) => string | undefined;
  /** The target plays a recording of one test: its capabilities are not tried before, and nothing runs twice. */
  readonly recording?: boolean;
  /** When a new target is started although nothing broke; default `run`: never. */
  readonly isolate?: Isolation;
  /** How many targets run tests at the same time; default 1. */
  readonly jobs?: number;
  /** Ends the run, the test that is under way with it; the reason is an {@link Interrupted}. */
  readonly interruption?: AbortSignal;
}

/**
 * Runs tests; results come in the order of the tests. Rejects with a
 * {@link TargetStartError} when the target cannot be started, or when it
 * breaks in every test; with an {@link Interrupted} where no target had started.
 */
export async function runTests(
  uapi: RevisionName,
  tests: readonly Test[],
  options: RunTestsOptions,
): Promise<RevisionRun> {
  const run = new TestRun(tests, options);
  return { uapi, ...await run.run() };
}

/** Tests that one target runs without another getting in between. */
interface Unit {
  readonly tests: readonly Test[];
  /** Where their results go. */
  readonly start: number;
}

/** One run of {@link runTests}: what its targets share. */
class TestRun {
  readonly #tests: readonly Test[];
  readonly #options: RunTestsOptions;
  readonly #results: TestResult[] = [];
  readonly #units: Unit[];
  /** Capabilities whose probe failed. */
  readonly #broken = new Set<string>();
  #done = 0;
  #verdicts = 0;
  #breaks = 0;
  #stopped: string | undefined;
  /** Why tests did not run, in words to count by. */
  #notRunReason = "no working target";

  constructor(tests: readonly Test[], options: RunTestsOptions) {
    this.#tests = tests;
    this.#options = options;
    this.#units = unitsOf(tests, options.isolate ?? "run");
    const { interruption } = options;
    interruption?.addEventListener("abort", () => {
      const { message } = interruption.reason as Interrupted;
      this.#endEarly(message, INTERRUPTED);
    });
  }

  async run(): Promise<Omit<RevisionRun, "uapi">> {
    const first = await this.#start();
    const { name, version } = printable(first.info);
    const targets = [first];
    let failedProbes: TestResult[];
    try {
      failedProbes = await this.#probe(first);
      const jobs = Math.min(this.#options.jobs ?? 1, this.#units.length);
      while (targets.length < jobs) {
        targets.push(await this.#start());
      }
      // All of them end before any is closed, whatever happens to one.
      const ends = await Promise.allSettled(
        targets.map((target) => this.#runUnits(target)),
      );
      for (const end of ends) {
        if (end.status === "rejected") throw end.reason;
      }
    } finally {
      await Promise.all(targets.map((target) => target.close()));
    }
    return {
      target: name,
      targetVersion: version,
      results: [
        ...failedProbes,
        ...this.#tests.map((test, index) =>
          this.#results[index] ?? this.#notRun(test, first.info)
        ),
      ],
      ...this.#stopped !== undefined && { stopped: this.#stopped },
    };
  }

  #start(): Promise<TestTarget> {
    const { open, timeoutMs = DEFAULT_TIMEOUT_MS, interruption } =
      this.#options;
    return unlessAborted(interruption, TestTarget.start(open, timeoutMs));
  }

  /** Tries the capabilities that the tests need and the target names; returns the failures. */
  async #probe(target: TestTarget): Promise<TestResult[]> {
    const needed = new Set<string>(this.#tests.flatMap(({ needs }) => needs));
    const failures: TestResult[] = [];
    if (this.#options.recording) return failures;
    for (const [capability, test] of probeTests(target.info)) {
      if (!needed.has(capability)) continue;
      if (!await this.#ready(target)) break;
      const result = await this.#runOne(test, target);
      this.#checkBudget(result);
      if (result.status === "pass" || result.status === "notrun") continue;
      this.#broken.add(capability);
      failures.push(result);
    }
    return failures;
  }

  /** Takes units, one after the other, until there is none left. */
  async #runUnits(target: TestTarget): Promise<void> {
    const isolated = (this.#options.isolate ?? "run") !== "run";
    let turn = performance.now();
    for (;;) {
      const unit = this.#units.shift();
      if (unit === undefined) return;
      if (isolated && !await this.#ready(target, target.used)) return;
      for (const [index, test] of unit.tests.entries()) {
        if (performance.now() - turn > TURN_MS) {
          await new Promise((resolve) => setTimeout(resolve, 0));
          turn = performance.now();
        }
        if (!await this.#ready(target)) return;
        this.#options.onTest?.(test, this.#done);
        const result = await this.#runTest(test, target);
        this.#checkBudget(result);
        this.#results[unit.start + index] = result;
        this.#done++;
        const enough = this.#options.onResult?.(result);
        if (enough !== undefined) this.#endEarly(enough, "the run ended early");
      }
    }
  }

  /** Runs a test, and where need be each of its cases. */
  async #runTest(test: Test, target: TestTarget): Promise<TestResult> {
    const alone = this.#options.recording && test.table?.cases.length !== 1;
    if (alone) return await this.#runOne(test, target);
    return await runCases(test, async (each, reason) => {
      if (reason !== undefined) {
        return this.#notRun(each, target.info, reason, reason);
      }
      return await this.#ready(target)
        ? await this.#runOne(each, target)
        : this.#notRun(each, target.info);
    });
  }

  /** Runs a test, its cases together; a target that it may have broken is ended. */
  async #runOne(test: Test, target: TestTarget): Promise<TestResult> {
    const options = { ...this.#options, broken: this.#broken };
    const run = target.run((target) => runTest(test, target, options));
    const result = await this.#unlessInterrupted(run);
    if (result === undefined) {
      await target.retire();
      return this.#notRun(test, target.info);
    }
    const { status } = result;
    if (isBreak(status)) {
      await target.retire();
    } else if (status !== "skip" && test.fixture !== PROBE_FIXTURE) {
      // That it can fork says little about whether tests can run.
      this.#verdicts++;
    }
    return result;
  }

  /** Notes that a target broke in a test, if it did; too often is too often. */
  #checkBudget(result: TestResult): void {
    const broken = verdictsOf([result]).find(({ status }) => isBreak(status));
    if (broken === undefined) return;
    const { message } = broken;
    this.#breaks++;
    const inVain = this.#verdicts === 0;
    if (this.#breaks < (inVain ? MAX_BREAKS_IN_VAIN : MAX_BREAKS)) return;
    const target = inVain
      ? "No test came to a verdict, and the target"
      : "The target";
    this.#giveUp(
      `${target} broke ${this.#breaks} times, the last time so: ${message}`,
    );
  }

  /** What a promise resolves to; undefined if the run is interrupted before. */
  async #unlessInterrupted<T>(promise: Promise<T>): Promise<T | undefined> {
    const { interruption } = this.#options;
    try {
      return await unlessAborted(interruption, promise);
    } catch (error) {
      if (interruption?.aborted) return undefined;
      throw error;
    }
  }

  /** Starts a target again that is broken, or `used` where it must not be. False if the run is over. */
  async #ready(target: TestTarget, used = false): Promise<boolean> {
    if (this.#stopped !== undefined) return false;
    if (!target.broken && !used) return true;
    try {
      await this.#unlessInterrupted(target.restart());
    } catch (error) {
      if (!(error instanceof TargetStartError)) throw error;
      this.#giveUp(error.message);
    }
    return this.#stopped === undefined;
  }

  /** Ends the run: there is no working target. */
  #giveUp(why: string): void {
    this.#stopped ??= why;
    if (this.#verdicts === 0) throw new TargetStartError(why);
  }

  /** Ends the run although the target works. */
  #endEarly(why: string, reason: string): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = why;
    this.#notRunReason = reason;
  }

  #notRun(
    test: Test,
    info: TargetInfo,
    reason = this.#notRunReason,
    message = this.#stopped!,
  ): TestResult {
    const about = aboutTest(test, info);
    return { ...about, status: "notrun", durationMs: 0, reason, message };
  }
}

/** The tests in the portions that may go to different targets. */
function unitsOf(tests: readonly Test[], isolate: Isolation): Unit[] {
  const units: { tests: Test[]; start: number; key: string }[] = [];
  for (const [start, test] of tests.entries()) {
    const key = isolate === "fixture"
      ? `${test.fixture}.${test.variant}`
      : String(start);
    const last = units.at(-1);
    if (last?.key === key) last.tests.push(test);
    else units.push({ tests: [test], start, key });
  }
  return units;
}
