// SPDX-License-Identifier: GPL-2.0-only

/**
 * The JSON report: one object, for programs.
 *
 * @module
 */

import {
  allResults,
  count,
  type Counts,
  type Failure,
  type Run,
  type Status,
} from "../results.ts";
import { SUITE_NAME, VERSION } from "../version.ts";

/** The JSON report's object. Optional properties are absent where they say nothing. */
export interface JsonReport {
  /** The suite that was run. */
  readonly suite: { readonly name: string; readonly version: string };
  /** The target: as it calls itself, as it was named, and its revisions, joined by commas. */
  readonly target: {
    readonly name: string;
    readonly version: string;
    readonly spec: string;
    readonly uapi: string;
  };
  /** Tests by status over all revisions. */
  readonly summary: Counts;
  /** The same for each revision, the kernel's tests apart from those of this kit. */
  readonly revisions: readonly {
    readonly uapi: string;
    readonly kernel: Counts;
    readonly kit: Counts;
  }[];
  /** Every selected test in every revision, in the order of the run. */
  readonly tests: readonly JsonTest[];
}

/** One test in a {@link JsonReport}. */
export interface JsonTest {
  /** The kernel's name for the test. */
  readonly id: string;
  /** Revision of the uAPI that was tested. */
  readonly uapi: string;
  /** The kernel's test program that has it; null for one of this kit. */
  readonly program: string | null;
  /** How it ended. */
  readonly status: Status;
  /** How long it took. */
  readonly durationMs: number;
  /** Why it was skipped, in words to count by. */
  readonly reason?: string;
  /** What went wrong or was missing, in a sentence. */
  readonly message?: string;
  /** The details of what went wrong. */
  readonly failure?: Failure;
}

/** A run as the JSON report's object. */
export function jsonReport(run: Run): JsonReport {
  const results = allResults(run);
  return {
    suite: { name: SUITE_NAME, version: VERSION },
    target: {
      name: distinct(run.columns.map(({ target }) => target)),
      version: distinct(run.columns.map((each) => each.targetVersion)),
      spec: run.columns[0]!.spec,
      uapi: run.columns.map(({ uapi }) => uapi).join(","),
    },
    summary: count(results),
    revisions: run.columns.map(({ uapi, results }) => ({
      uapi,
      kernel: count(results.filter(({ program }) => program !== undefined)),
      kit: count(results.filter(({ program }) => program === undefined)),
    })),
    tests: results.map(({ fixture: _, variant: __, program, ...test }) => ({
      ...test,
      program: program ?? null,
    })),
  };
}

/** A run as the text of the JSON report. */
export function formatJson(run: Run): string {
  return JSON.stringify(jsonReport(run), null, 2) + "\n";
}

/** The values that occur, each once, joined by commas. */
function distinct(values: readonly string[]): string {
  return [...new Set(values)].join(",");
}
