// SPDX-License-Identifier: GPL-2.0-only

/**
 * The JSONL report: a line for each result as soon as it is there, between a
 * header and a footer. A report without its footer is one of a run that broke.
 *
 * @module
 */

import { allResults, type Column, isGood } from "../results.ts";
import {
  type JsonReport,
  type JsonSummary,
  jsonSummary,
  type JsonTarget,
  jsonTargetHead,
  type JsonTest,
  jsonTest,
} from "./json.ts";
import type { Report } from "../reports.ts";

/** A line of the report: an object with its kind in `type`. */
export type JsonlLine =
  /** The first line. */
  | { readonly type: "header" }
    & Pick<JsonReport, "suite" | "settings" | "origin">
  /** A test ended; with --repeat there are several for one test. */
  | { readonly type: "result" } & JsonTest & Pick<Column, "spec" | "uapi">
  /** All tests of a target in a revision have ended. */
  | { readonly type: "target" } & Omit<JsonTarget, "programs" | "tests">
  /** The last line. The counts are those of the whole run, each test once. */
  | { readonly type: "footer" }
    & Pick<JsonReport, keyof JsonSummary | "durationMs" | "good" | "problems">;

/** The report, written while the run goes on; `write` takes a line with its end. */
export function jsonlReport(write: (text: string) => void): Required<Report> {
  function line(line: JsonlLine): void {
    write(`${JSON.stringify(line)}\n`);
  }
  return {
    begin: ({ suite, settings, origin }) =>
      line({ type: "header", suite, settings, origin }),
    result(spec, result) {
      const { uapi } = result;
      line({ type: "result", spec, uapi, ...jsonTest(result) });
    },
    column(column) {
      const { results, stopped, unmatched } = column;
      line({
        type: "target",
        ...jsonTargetHead(column),
        ...jsonSummary(results),
        ...stopped !== undefined && { stopped },
        ...unmatched && { unmatched },
      });
    },
    end(run) {
      line({
        type: "footer",
        durationMs: run.durationMs,
        good: isGood(run),
        ...jsonSummary(allResults(run)),
        problems: run.problems,
      });
    },
  };
}
