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

/** How many of a list of names are told. */
const NAMED = 10;

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
 * How much of a column passed, each of the kernel's programs by itself: `190
 * of 190 and 7 of 7 kernel tests passed, 194 of 194 own tests passed (700 of
 * 700 cases)`.
 */
export function passedSentence(column: Column): string {
  return (["kernel", "own"] as const).flatMap((whose) => {
    const { tests, cases } = passedOf(column, whose);
    const more = cases === "" ? "" : ` (${cases} cases)`;
    return tests === "" ? [] : [`${tests} ${whose} tests passed${more}`];
  }).join(", ");
}

/**
 * The same in a table, where each number says what it counts: `190 of 190
 * iommufd` for a program of the kernel's, `194 of 194 (700 of 700 cases)` for
 * the tests of this kit.
 */
export function passedLines(
  column: Column,
  whose: "kernel" | "own",
): { readonly passed: string; readonly program: string | null }[] {
  return partsOf(column)
    .filter(({ program }) => (program === null) === (whose === "own"))
    .map(({ program, counts, results }) => {
      const cases = countCases(results);
      const passed = `${counts.pass} of ${counts.total}`;
      return {
        passed: cases.total === 0
          ? passed
          : `${passed} (${cases.pass} of ${cases.total} cases)`,
        program,
      };
    });
}

/** How many of how many passed; nothing where there are none. */
function passedOf(
  column: Column,
  whose: "kernel" | "own",
): { tests: string; cases: string } {
  const parts = partsOf(column)
    .filter(({ program }) => (program === null) === (whose === "own"));
  const cases = countCases(parts.flatMap(({ results }) => results));
  return {
    tests: parts.map(({ counts }) => `${counts.pass} of ${counts.total}`)
      .join(" and "),
    cases: cases.total === 0 ? "" : `${cases.pass} of ${cases.total}`,
  };
}

/** Counts the cases of results by status. */
export function countCases(results: readonly TestResult[]): Counts {
  return count(results.flatMap(({ cases = [] }) => cases));
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

/** When, how and where a run was made, as names and values. */
export function originFacts(
  { origin, durationMs }: Run,
): (readonly [name: string, value: string])[] {
  const { started, command, machine } = origin;
  const { os, release, arch, processors, deno } = machine;
  return [
    ["date", started.replace("T", " ").replace(/\.\d+Z$/, " UTC")],
    ["duration", formatMillis(durationMs)],
    ["command", command],
    [
      "machine",
      `${[os, release, arch].filter(Boolean).join(" ")}, ${processors} ${
        processors === 1 ? "processor" : "processors"
      }, Deno ${deno}`,
    ],
  ];
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

/** What results of others have and the suite has not, and the other way round: a sentence for each. */
export function unmatchedSentences({ unmatched }: Column): string[] {
  if (unmatched === undefined) return [];
  const { unknown, missing } = unmatched;
  return [
    ...unknown.length === 0
      ? []
      : [`only there, and not in this suite: ${someOf(unknown)}`],
    ...missing.length === 0
      ? []
      : [`only in this suite, and not there: ${someOf(missing)}`],
  ];
}

/** The first of some names, and how many more there are. */
function someOf(names: readonly string[]): string {
  const more = names.length - NAMED;
  const first = names.slice(0, NAMED).join(", ");
  return more > 0 ? `${first} and ${more} more` : first;
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
