// SPDX-License-Identifier: GPL-2.0-only

/**
 * The JSON report: one object, for programs.
 *
 * @module
 */

import {
  allResults,
  type Column,
  count,
  type Counts,
  isGood,
  type Run,
  type TestResult,
} from "../results.ts";
import { differences } from "../matrix.ts";
import { countCases, partsOf } from "../summary.ts";

/** How tests and their cases ended. */
export interface JsonSummary {
  /** Tests by status. */
  readonly summary: Counts;
  /** The cases of tests by status. */
  readonly cases: Counts;
}

/** The JSON report's object, the summary over all targets. Optional properties are absent where they say nothing. */
export interface JsonReport extends
  JsonSummary,
  Pick<
    Run,
    "suite" | "settings" | "origin" | "durationMs" | "problems"
  > {
  /** True if nothing failed: the exit code is 0. */
  readonly good: boolean;
  /** The ids of tests and cases on which targets came to different verdicts. */
  readonly differences: readonly string[];
  /** The targets, once for each revision. */
  readonly targets: readonly JsonTarget[];
}

/** What a report tells of a target before its tests. */
export interface JsonTargetHead extends Pick<Column, "spec" | "uapi"> {
  /** What the target calls itself. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
}

/** A target in one revision in a {@link JsonReport}. */
export interface JsonTarget
  extends JsonTargetHead, JsonSummary, Pick<Column, "stopped" | "unmatched"> {
  /** Tests by status for each of the kernel's test programs, and for the tests of this kit (program null). */
  readonly programs: readonly {
    readonly program: string | null;
    readonly summary: Counts;
  }[];
  /** Every selected test in order. */
  readonly tests: readonly JsonTest[];
}

/** A case of a {@link JsonTest}: what it does not say is that of the test. */
export type JsonCase =
  & Pick<TestResult, "id" | "status" | "durationMs" | "description">
  & Pick<TestResult, "notes" | "reason" | "message" | "failure">
  & Pick<TestResult, "expected" | "runs">
  & {
    /** The file with its calls. */
    readonly transcript?: string;
  };

/** One test in a {@link JsonReport}. */
export type JsonTest = JsonCase & Pick<TestResult, "reference" | "rules"> & {
  /** The kernel's test program that has it; null for one of this kit. */
  readonly program: string | null;
  /** Its cases in order, if it has some and ran. */
  readonly cases?: readonly JsonCase[];
};

/** A run as the JSON report's object. */
export function jsonReport(run: Run): JsonReport {
  const { suite, settings, origin, durationMs, problems, columns } = run;
  return {
    suite,
    settings,
    origin,
    durationMs,
    good: isGood(run),
    ...jsonSummary(allResults(run)),
    problems,
    differences: differences(run).map(({ id }) => id),
    targets: columns.map((column) => ({
      ...jsonTargetHead(column),
      ...jsonSummary(column.results),
      programs: partsOf(column).map(({ program, counts }) => ({
        program,
        summary: counts,
      })),
      ...column.stopped !== undefined && { stopped: column.stopped },
      ...column.unmatched && { unmatched: column.unmatched },
      tests: column.results.map(jsonTest),
    })),
  };
}

/** Counts results and their cases. */
export function jsonSummary(results: readonly TestResult[]): JsonSummary {
  return { summary: count(results), cases: countCases(results) };
}

/** What a report tells of a target before its tests. */
export function jsonTargetHead(
  { spec, uapi, target, targetVersion }: Pick<
    Column,
    "spec" | "uapi" | "target" | "targetVersion"
  >,
): JsonTargetHead {
  return { spec, uapi, name: target, version: targetVersion };
}

/** A result as reports for programs have it. */
export function jsonTest(result: TestResult): JsonTest {
  const { program, reference, rules, cases } = result;
  const { id, status, durationMs, description, ...more } = jsonCase(result);
  return {
    id,
    program: program ?? null,
    status,
    durationMs,
    description,
    reference,
    rules,
    ...more,
    ...cases && { cases: cases.map(jsonCase) },
  };
}

function jsonCase(result: TestResult): JsonCase {
  const { id, status, durationMs, description } = result;
  const { notes, reason, message, failure, expected, runs, transcript } =
    result;
  return {
    id,
    status,
    durationMs,
    description,
    ...notes !== undefined && { notes },
    ...reason !== undefined && { reason },
    ...message !== undefined && { message },
    ...failure && { failure },
    ...expected && { expected },
    ...runs && { runs },
    ...transcript?.path !== undefined && { transcript: transcript.path },
  };
}

/** A run as the text of the JSON report. */
export function formatJson(run: Run): string {
  return JSON.stringify(jsonReport(run), null, 2) + "\n";
}
