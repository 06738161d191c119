// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a run of the suite produced: the data that all reports are made from.
 *
 * @module
 */

import type { RevisionName } from "../impl/uapi/revision.ts";

/**
 * How a test ended: `fail` is an assertion that did not hold or a process that
 * left something behind, `crash` a target or process that died, `timeout` one
 * that did not come back, `error` a target that answered nonsense or a bug of
 * the test itself. `notrun` is a test for which there was no working target.
 */
export type Status =
  | "pass"
  | "fail"
  | "skip"
  | "crash"
  | "timeout"
  | "error"
  | "notrun";

/** All statuses, in the order in which reports count them. */
export const STATUSES: readonly Status[] = [
  "pass",
  "fail",
  "skip",
  "crash",
  "timeout",
  "error",
  "notrun",
];

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
  /** What was left behind when all processes had ended, a sentence each. */
  readonly problems: readonly string[];
  /** Where an exception came from. */
  readonly stack?: string;
  /** What the target wrote to its standard error while the test ran. */
  readonly stderr?: string;
}

/** How one test of one revision ended. */
export interface TestResult {
  /** The kernel's name for the test. */
  readonly id: string;
  /** Name of its fixture. */
  readonly fixture: string;
  /** Name of its variant, if the fixture has variants. */
  readonly variant: string | undefined;
  /** True for a test of the kernel's own suite. */
  readonly upstream: boolean;
  /** Revision of the uAPI that was tested. */
  readonly uapi: RevisionName;
  /** How it ended. */
  readonly status: Status;
  /** Milliseconds from the spawn of the first process to the last check. */
  readonly durationMs: number;
  /** Why it was skipped: few words, the same for all tests that lack the same thing. */
  readonly reason?: string;
  /** What went wrong, in a sentence. */
  readonly message?: string;
  /** The details of what went wrong. */
  readonly failure?: Failure;
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
}

/** A whole run. */
export interface Run {
  /** The target as it was named on the command line. */
  readonly targetSpec: string;
  /** The revisions, in the order in which they ran. */
  readonly revisions: readonly RevisionRun[];
}

/** How many tests ended in which way. */
export type Counts = Record<Status, number> & {
  /** All of them. */
  total: number;
};

/** Counts results by status. */
export function count(results: Iterable<TestResult>): Counts {
  const counts: Counts = {
    pass: 0,
    fail: 0,
    skip: 0,
    crash: 0,
    timeout: 0,
    error: 0,
    notrun: 0,
    total: 0,
  };
  for (const { status } of results) {
    counts[status]++;
    counts.total++;
  }
  return counts;
}

/** True for a status that makes the run fail. */
export function isFailure(status: Status): boolean {
  return status !== "pass" && status !== "skip";
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
  return run.revisions.flatMap(({ results }) => results);
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
