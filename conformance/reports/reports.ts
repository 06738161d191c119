// SPDX-License-Identifier: GPL-2.0-only

/**
 * The reports by name.
 *
 * @module
 */

import type {
  Column,
  Run,
  RunSettings,
  SuiteInfo,
  TestResult,
} from "./results.ts";
import type { Commands } from "./failure_facts.ts";
import { formatGithub } from "./formats/github.ts";
import { formatHtml } from "./formats/html.ts";
import { formatJson } from "./formats/json.ts";
import { JsonlWriter } from "./formats/jsonl.ts";
import { formatJunit } from "./formats/junit.ts";
import { formatKtap } from "./formats/ktap.ts";
import { formatMarkdown } from "./formats/markdown.ts";
import { formatPretty } from "./formats/pretty.ts";
import { formatTap } from "./formats/tap.ts";

/** The kinds of reports. */
export const REPORT_FORMATS = [
  "pretty",
  "ktap",
  "tap",
  "junit",
  "json",
  "jsonl",
  "markdown",
  "html",
  "github",
] as const;

/** A kind of report. */
export type ReportFormat = typeof REPORT_FORMATS[number];

/** A report that is being written. */
export interface Report {
  /** The run begins. */
  begin?(suite: SuiteInfo, settings: RunSettings): void;
  /** A test ended on a target. */
  result?(spec: string, result: TestResult): void;
  /** All tests ended on a target in a revision. */
  column?(column: Column): void;
  /** The run is over. */
  end(run: Run): void;
}

/** How a report is written. */
export interface ReportOptions {
  /** Takes the report's text, in as many parts as it comes in. */
  write(text: string): void;
  /** Use colours, where the format has them. */
  readonly color: boolean;
  /** The commands to tell. */
  readonly commands: Commands;
}

/** A report of a kind. */
export function openReport(
  format: ReportFormat,
  options: ReportOptions,
): Report {
  const { write } = options;
  if (format === "jsonl") return new JsonlWriter(write);
  return { end: (run) => write(formatRun(format, run, options)) };
}

function formatRun(
  format: Exclude<ReportFormat, "jsonl">,
  run: Run,
  { color, commands }: ReportOptions,
): string {
  switch (format) {
    case "pretty":
      return formatPretty(run, { color, commands });
    case "ktap":
      return formatKtap(run);
    case "tap":
      return formatTap(run, commands);
    case "junit":
      return formatJunit(run, commands);
    case "json":
      return formatJson(run);
    case "markdown":
      return formatMarkdown(run, commands);
    case "html":
      return formatHtml(run, commands);
    case "github":
      return formatGithub(run, commands);
  }
}
