// SPDX-License-Identifier: GPL-2.0-only

/**
 * The reports by name.
 *
 * @module
 */

import type { Column, Run, TestResult } from "./results.ts";
import type { Commands } from "./failure_facts.ts";
import { formatCoverage } from "./formats/coverage.ts";
import { formatGithub } from "./formats/github.ts";
import { formatHtml } from "./formats/html.ts";
import { formatJson } from "./formats/json.ts";
import { jsonlReport } from "./formats/jsonl.ts";
import { formatJunit } from "./formats/junit.ts";
import { formatKtap } from "./formats/ktap.ts";
import { formatMarkdown } from "./formats/markdown.ts";
import { formatPretty } from "./formats/pretty.ts";
import { formatTap } from "./formats/tap.ts";
import { formatBadge } from "./submission/badge.ts";
import { formatBundle } from "./submission/bundle.ts";

/** What is known of a run when it begins. */
export type BegunRun = Pick<Run, "suite" | "settings" | "origin">;

/** A report that is being written. */
export interface Report {
  /** The run begins. */
  begin?(run: BegunRun): void;
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
  /** The text of a file of transcripts; undefined if it is not there. */
  readText(path: string): string | undefined;
}

/** How a report of each kind is opened. */
const REPORTS = {
  pretty: atEnd(formatPretty),
  ktap: atEnd(formatKtap),
  tap: atEnd(formatTap),
  junit: atEnd(formatJunit),
  json: atEnd(formatJson),
  jsonl: ({ write }: ReportOptions): Report => jsonlReport(write),
  markdown: atEnd(formatMarkdown),
  html: atEnd(formatHtml),
  github: atEnd(formatGithub),
  coverage: atEnd(formatCoverage),
  bundle: ({ write, readText }: ReportOptions): Report => ({
    end: (run) => write(formatBundle(run, readText)),
  }),
  badge: atEnd(formatBadge),
};

/** A kind of report. */
export type ReportFormat = keyof typeof REPORTS;

/** The kinds of reports. */
export const REPORT_FORMATS = Object.keys(REPORTS) as readonly ReportFormat[];

/** A report of a kind. */
export function openReport(
  format: ReportFormat,
  options: ReportOptions,
): Report {
  return REPORTS[format](options);
}

/** A report that is written when the run is over. */
function atEnd(
  formatRun: (run: Run, commands: Commands, color: boolean) => string,
): (options: ReportOptions) => Report {
  return ({ write, commands, color }) => ({
    end: (run) => write(formatRun(run, commands, color)),
  });
}
