// SPDX-License-Identifier: GPL-2.0-only

/**
 * The JSONL report: a line for each result as soon as it is there, between a
 * header and a footer. A report without its footer is one of a run that broke.
 *
 * @module
 */

import {
  allResults,
  isGood,
  type RunSettings,
  type SuiteInfo,
} from "../results.ts";
import {
  type JsonSummary,
  jsonSummary,
  type JsonTargetHead,
  jsonTargetHead,
  type JsonTest,
  jsonTest,
} from "./json.ts";
import type { Report } from "../reports.ts";

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
  | (JsonTargetHead & JsonSummary & {
    readonly type: "target";
    readonly stopped?: string;
  })
  /** The last line. The counts are those of the whole run, each test once. */
  | (JsonSummary & {
    readonly type: "footer";
    readonly good: boolean;
    readonly problems: readonly string[];
  });

/** The report, written while the run goes on; `write` takes a line with its end. */
export function jsonlReport(write: (text: string) => void): Required<Report> {
  function line(line: JsonlLine): void {
    write(`${JSON.stringify(line)}\n`);
  }
  return {
    begin: (suite, settings) => line({ type: "header", suite, settings }),
    result(spec, result) {
      const { uapi } = result;
      line({ type: "result", spec, uapi, ...jsonTest(result) });
    },
    column(column) {
      const { results, stopped } = column;
      line({
        type: "target",
        ...jsonTargetHead(column),
        ...jsonSummary(results),
        ...stopped !== undefined && { stopped },
      });
    },
    end(run) {
      line({
        type: "footer",
        good: isGood(run),
        ...jsonSummary(allResults(run)),
        problems: run.problems,
      });
    },
  };
}
