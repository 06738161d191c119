// SPDX-License-Identifier: GPL-2.0-only

/**
 * The JSONL report: a line for each result as soon as it is there, between a
 * header and a footer. A report without its footer is one of a run that broke.
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
  type RunSettings,
  type SuiteInfo,
  type TestResult,
} from "../results.ts";
import {
  type JsonTargetHead,
  jsonTargetHead,
  type JsonTest,
  jsonTest,
} from "./json.ts";

import { countCases } from "../summary.ts";

/** A line of the report: an object with its kind in `type`. */
export type JsonlLine =
  /** The first line. */
  | {
    readonly type: "header";
    readonly suite: SuiteInfo;
    readonly settings: RunSettings;
  }
  /** A test ended; with --repeat there are several for one test. */
  | (JsonTest & Pick<JsonTargetHead, "spec" | "uapi"> & {
    readonly type: "result";
  })
  /** All tests of a target in a revision have ended. */
  | (JsonTargetHead & {
    readonly type: "target";
    readonly summary: Counts;
    readonly cases: Counts;
    readonly stopped?: string;
  })
  /** The last line. The counts are those of the whole run, each test once. */
  | {
    readonly type: "footer";
    readonly good: boolean;
    readonly summary: Counts;
    readonly cases: Counts;
    readonly problems: readonly string[];
  };

/** Writes the report while the run goes on. */
export class JsonlWriter {
  readonly #write: (text: string) => void;

  /** `write` takes a line with its end. */
  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** The first line. */
  begin(suite: SuiteInfo, settings: RunSettings): void {
    this.#line({ type: "header", suite, settings });
  }

  /** A test ended on a target. */
  result(spec: string, result: TestResult): void {
    const { uapi } = result;
    this.#line({ type: "result", spec, uapi, ...jsonTest(result) });
  }

  /** All tests of a target in a revision have ended. */
  column(column: Column): void {
    const { results, stopped } = column;
    this.#line({
      type: "target",
      ...jsonTargetHead(column),
      summary: count(results),
      cases: countCases(results),
      ...stopped !== undefined && { stopped },
    });
  }

  /** The last line. */
  end(run: Run): void {
    const { problems } = run;
    const results = allResults(run);
    this.#line({
      type: "footer",
      good: isGood(run),
      summary: count(results),
      cases: countCases(results),
      problems,
    });
  }

  #line(line: JsonlLine): void {
    this.#write(`${JSON.stringify(line)}\n`);
  }
}
