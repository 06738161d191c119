// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a run of the suite produced: the data that all reports are made from.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import type { Test } from "../../selftests/harness/harness.ts";
import type { Reached } from "../api_coverage/coverage.ts";
import type { Machine } from "../lib/host.ts";

/**
 * How a test ended: `fail` is an assertion that did not hold or a process that
 * left something behind, `crash` a target or process that died, `timeout` one
 * that did not come back, `error` a target that answered nonsense or a bug of
 * the test itself. `notrun` is a test for which there was no working target,
 * or that a run which ended early did not come to. `xfail` is one that failed
 * as the expectations say, `xpass` one that passed although they say that it
 * fails.
 */
export type Status = typeof STATUSES[number];

/** All statuses, in the order in which reports count them. */
export const STATUSES = [
  "pass",
  "fail",
  "skip",
  "xfail",
  "xpass",
  "crash",
  "timeout",
  "error",
  "notrun",
] as const;

/** All statuses, the least bad first. */
const BY_SEVERITY: readonly Status[] = [
  "skip",
  "pass",
  "xfail",
  "notrun",
  "xpass",
  "fail",
  "timeout",
  "crash",
  "error",
];

/** The worst of some statuses. Nothing at all is `notrun`, never a pass. */
export function worst(statuses: Iterable<Status>): Status {
  const index = Math.max(
    -1,
    ...[...statuses].map((status) => BY_SEVERITY.indexOf(status)),
  );
  return BY_SEVERITY[index] ?? "notrun";
}

/** A struct that was passed to an ioctl, for a person. */
export interface SentStruct {
  /** The C name, for instance `iommu_ioas_map`. */
  readonly name: string;
  /** The fields by their C name, in the struct's order, as they were sent. */
  readonly fields: Readonly<Record<string, string>>;
}

/** A system call that was made, for a person. */
export interface MadeCall {
  /** The call as it would stand in a trace: `ioctl(3, IOMMU_IOAS_MAP) = EINVAL`. */
  readonly call: string;
  /** What an ioctl was given, where its struct is known. */
  readonly struct?: SentStruct;
  /** The fields of the struct that came back as something else. */
  readonly gave?: Readonly<Record<string, string>>;
  /** The number of its request in the transcript. */
  readonly request?: number;
}

/** Where and how a test failed. */
export interface Failure {
  /** What was looked at, for instance `IOMMU_IOAS_MAP`; absent where no assertion failed. */
  readonly assertion?: string;
  /** What was expected, errnos by name. */
  readonly expected?: string;
  /** What came instead. */
  readonly actual?: string;
  /** System calls the test had made, its children's included. */
  readonly calls: number;
  /** The last of them. */
  readonly lastCall?: MadeCall;
  /** The last ioctl, where the last call was another. */
  readonly lastIoctl?: MadeCall;
  /** Some calls before the last one, in order. */
  readonly before?: readonly MadeCall[];
  /** What was left behind when all processes had ended, a sentence each. */
  readonly problems: readonly string[];
  /** The line of the test whose assertion failed: `selftests/iommufd/ioas.ts:120`. */
  readonly where?: string;
  /** Where an exception came from. */
  readonly stack?: string;
  /** What the target wrote to its standard error while the test ran. */
  readonly stderr?: string;
}

/** The part of a result that does not depend on the run. */
export interface AboutTest
  extends
    Pick<Test, "id" | "fixture" | "variant" | "program">,
    Pick<Test, "description" | "reference" | "rules"> {
  /** Revision of the uAPI that was tested. */
  readonly uapi: RevisionName;
}

/** What the expectations say about a test that ended otherwise than with a pass, or that should have. */
export interface Expected {
  /** How the test really ended, when its status is `xfail` or `xpass`. */
  readonly actual: Status;
  /** Why it is expected to fail. */
  readonly reason: string;
  /** Where that is tracked. */
  readonly link: string;
}

/** The calls of a test, in the form of the adapter protocol. */
export interface SavedTranscript {
  /** The lines; the middle of a long text is left out once it is in a file. */
  readonly text: string;
  /** The file that has all of them. */
  readonly path?: string;
}

/** How one test of one revision ended. */
export interface TestResult extends AboutTest {
  /** How it ended; of several runs of the test, how the worst ended. */
  readonly status: Status;
  /** Milliseconds from the spawn of the first process to the last check. */
  readonly durationMs: number;
  /** What the test says about its run: how much it covered, for instance. */
  readonly notes?: readonly string[];
  /** Why it was skipped: few words, the same for all tests that lack the same thing. */
  readonly reason?: string;
  /** What went wrong, in a sentence. */
  readonly message?: string;
  /** The details of what went wrong. */
  readonly failure?: Failure;
  /** What the expectations say about it, of an `xfail` or `xpass`. */
  readonly expected?: Expected;
  /** How often it ended in which way, if it ran more than once. */
  readonly runs?: Readonly<Partial<Record<Status, number>>>;
  /** The calls of one that failed. */
  readonly transcript?: SavedTranscript;
  /** The results of its cases, if it has some and ran. */
  readonly cases?: readonly TestResult[];
}

/** What is only in one of two: results of others, and the suite. */
export interface Unmatched {
  /** The names of results that are of no test of the suite. */
  readonly unknown: readonly string[];
  /** The ids of tests without a result, of the programs that there are results of. */
  readonly missing: readonly string[];
}

/** The results of one revision. */
export interface RevisionRun {
  /** The revision. */
  readonly uapi: RevisionName;
  /** Name of the implementation that was tested, as it gave it. */
  readonly target: string;
  /** Its version. */
  readonly targetVersion: string;
  /**
   * One result for each selected test, in the kernel's order. Before them come
   * the probes (`probe.…`) of those capabilities that the target says it has
   * and has not.
   */
  readonly results: readonly TestResult[];
  /** Why the run ended before all tests had run, in a sentence. */
  readonly stopped?: string;
  /** Where the results are not of this runner: the ids on one side only. */
  readonly unmatched?: Unmatched;
  /** Which part of the API it reached, where a report asks for that. */
  readonly reached?: readonly Reached[];
}

/** A target in one revision: a column of the reports that are tables. */
export interface Column extends RevisionRun {
  /** The target as it was named on the command line. */
  readonly spec: string;
}

/** The suite that ran. */
export interface SuiteInfo {
  /** Its name. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
  /** Tells one state of the tests from another, whatever the version says. */
  readonly hash: string;
}

/** What a run was asked for, as far as its results depend on it. */
export interface RunSettings {
  /** Decided the order of the tests, if that was random. */
  readonly seed?: number;
  /** The part of the suite, if not all of it. */
  readonly suite?: string;
  /** Globs over ids that selected tests, if there were any. */
  readonly filters?: readonly string[];
  /** The part of the selected tests that was run: `2/5`. */
  readonly shard?: string;
  /** How often each test was to run, if more than once. */
  readonly repeat?: number;
}

/** When, where and how a run was begun. */
export interface Origin {
  /** When, in UTC: `2026-11-28T09:30:00.000Z`. */
  readonly started: string;
  /** The command, for a shell. */
  readonly command: string;
  /** Where. */
  readonly machine: Machine;
}

/** A whole run. */
export interface Run {
  /** The suite. */
  readonly suite: SuiteInfo;
  /** What was asked for. */
  readonly settings: RunSettings;
  /** When, where and how it was begun. */
  readonly origin: Origin;
  /** Milliseconds from its beginning to its end. */
  readonly durationMs: number;
  /** The targets and their revisions, in the order in which they ran. */
  readonly columns: readonly Column[];
  /**
   * What is wrong beside the tests, a sentence each: expectations that are out
   * of date, targets on which no test passed.
   */
  readonly problems: readonly string[];
}

/** How many tests ended in which way. */
export type Counts = Record<Status, number> & {
  /** All of them. */
  total: number;
};

/** Counts results by status. */
export function count(results: Iterable<Pick<TestResult, "status">>): Counts {
  const counts = Object.fromEntries(
    [...STATUSES, "total"].map((status) => [status, 0]),
  ) as Counts;
  for (const { status } of results) {
    counts[status]++;
    counts.total++;
  }
  return counts;
}

/** True for a status that makes the run fail. */
export function isFailure(status: Status): boolean {
  return status !== "pass" && status !== "skip" && status !== "xfail";
}

/** True for a status after which the target may be of no more use. */
export function isBreak(status: Status): boolean {
  return status === "crash" || status === "timeout" || status === "error";
}

/** True if nothing makes the run fail. */
export function isGood(run: Run): boolean {
  return run.problems.length === 0 &&
    allResults(run).every(({ status }) => !isFailure(status));
}

/**
 * That no test passed in a column in which none failed: all were skipped, or
 * failed as expected. Nothing is proved by that.
 */
export function nothingPassed({ spec, uapi, results }: Column): string[] {
  const silent = results.every(({ status }) =>
    status === "skip" || status === "xfail"
  );
  if (!silent) return [];
  return [
    `${spec} ${uapi}: no test passed, of ${results.length} that were selected`,
  ];
}

/**
 * That tests were skipped for want of a capability that is asked for, "" for
 * any: a sentence for each reason.
 */
export function refusedSkips(
  { spec, uapi, results }: Column,
  asked: readonly string[],
): string[] {
  const verdicts = results.flatMap((result) => result.cases ?? result);
  return skipReasons(verdicts).flatMap(([reason, times]) => {
    const needs = reason.split(/[\s,]+/);
    const isAsked = needs[0] === "needs" &&
      asked.some((name) => name === "" || needs.includes(name));
    return isAsked
      ? [`${spec} ${uapi}: ${times} skipped, and none may be: ${reason}`]
      : [];
  });
}

/** What a test left behind, unless its message says that already. */
export function otherProblems(
  { message, failure }: TestResult,
): readonly string[] {
  const problems = failure?.problems ?? [];
  return message === problems.join(" ") ? [] : problems;
}

/** All results of a run in order. */
export function allResults(run: Run): TestResult[] {
  return run.columns.flatMap(({ results }) => results);
}

/** How often each reason for a skip occurs, the most frequent first. */
export function skipReasons(
  results: Iterable<TestResult>,
): [reason: string, count: number][] {
  const reasons = new Map<string, number>();
  for (const { status, reason } of results) {
    if (status !== "skip" || reason === undefined) continue;
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  return [...reasons].sort((a, b) => b[1] - a[1]);
}
