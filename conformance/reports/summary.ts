// SPDX-License-Identifier: GPL-2.0-only

/**
 * Sums of a column, in numbers and in words.
 *
 * @module
 */

import {
  type Column,
  count,
  type Counts,
  type Run,
  type TestResult,
} from "./results.ts";

/** The tests of one of the kernel's programs, or those of this kit. */
export interface Part {
  /** The kernel's program; null for the tests of this kit. */
  readonly program: string | null;
  /** Its results. */
  readonly results: readonly TestResult[];
  /** How they ended. */
  readonly counts: Counts;
}

/** The results of a column by the program that they belong to, this kit's own last. */
export function partsOf({ results }: Pick<Column, "results">): Part[] {
  const byProgram = Map.groupBy(results, ({ program }) => program ?? null);
  const parts = [...byProgram]
    .map(([program, results]) => ({
      program,
      results,
      counts: count(results),
    }));
  return [
    ...parts.filter(({ program }) => program !== null),
    ...parts.filter(({ program }) => program === null),
  ];
}

/**
 * How much of a column passed, each of the kernel's programs by itself:
 * `190 of 190 and 7 of 7 kernel tests passed, 194 of 194 own tests passed`.
 */
export function passedSentence(column: Column): string {
  const parts = partsOf(column);
  return [
    ofPhrase(parts.filter(({ program }) => program !== null), "kernel"),
    ofPhrase(parts.filter(({ program }) => program === null), "own"),
  ].filter((phrase) => phrase !== "").join(", ");
}

function ofPhrase(parts: readonly Part[], whose: string): string {
  if (parts.length === 0) return "";
  const each = parts.map(({ counts }) => `${counts.pass} of ${counts.total}`);
  return `${each.join(" and ")} ${whose} tests passed`;
}

/** What became of the tests that did not pass, such as `2 failed`, `5 skipped`; nothing for a way in which none ended. */
export function otherWays(counts: Counts): string[] {
  const ways: [number, string][] = [
    [counts.fail, "failed"],
    [counts.crash, "crashed"],
    [counts.timeout, "timed out"],
    [counts.error, "ended with an error"],
    [counts.xpass, "passed unexpectedly"],
    [counts.notrun, "not run"],
    [counts.xfail, "failed as expected"],
    [counts.skip, "skipped"],
  ];
  return ways.filter(([number]) => number > 0)
    .map(([number, way]) => `${number} ${way}`);
}

/** Name, version and state of the suite: `iommufd-kit conformance 0.1.0 (suite 1a2b3c4d5e6f)`. */
export function suiteTitle({ suite }: Run): string {
  return `${suite.name} ${suite.version} (suite ${suite.hash})`;
}

/** The implementation behind a column: `iommufd-kit model 0.1.0`. */
export function implementation({ target, targetVersion }: Column): string {
  return `${target} ${targetVersion}`;
}

/** What the run was asked for, in words; nothing if that was nothing special. */
export function settingsPhrases({ settings }: Run): string[] {
  const { seed, shard, repeat } = settings;
  return [
    ...seed === undefined ? [] : [`shuffled with seed ${seed}`],
    ...shard === undefined ? [] : [`shard ${shard}`],
    ...repeat === undefined ? [] : [`each test ${repeat} times`],
  ];
}

/** How the runs of a test ended that ran more than once: `3 pass, 1 fail`. */
export function runsPhrase({ runs }: TestResult): string | undefined {
  return runs && Object.entries(runs)
    .map(([status, times]) => `${times} ${status}`).join(", ");
}

/** A duration for a person. */
export function formatMillis(millis: number): string {
  return millis < 1000
    ? `${Math.round(millis)} ms`
    : `${(millis / 1000).toFixed(1)} s`;
}

/** That only some targets had a verdict on tests. */
export function halfSkippedSentence(tests: number): string {
  return `${tests} ${
    tests === 1 ? "test" : "tests"
  } ran on some targets and not on others`;
}

/** The text in one line. */
export function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " ");
}
