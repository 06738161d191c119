// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where reports go.
 *
 * @module
 */

import type { Host } from "../lib/host.ts";
import { orUsageError } from "../lib/usage_error.ts";
import type { Commands } from "../reports/failure_facts.ts";
import {
  openReport,
  type Report,
  type ReportFormat,
} from "../reports/reports.ts";
import type { Run } from "../reports/results.ts";
import type { ReportRequest } from "../running/options.ts";

/** Opens the reports, so that a bad path is found before the run and not after it. */
export function openReports(
  requests: readonly ReportRequest[],
  host: Host,
  commands: Commands,
  readText = (path: string) => host.readText(path),
): Report[] {
  return requests.map(({ format, path }) =>
    openReport(format, {
      write: reportWriter(format, path, host),
      color: path === undefined && host.color,
      commands,
      readText,
    })
  );
}

/** Writes all reports, also where one of them cannot be written. */
export function endReports(reports: readonly Report[], run: Run): void {
  const errors: unknown[] = [];
  for (const report of reports) {
    try {
      report.end(run);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}

/**
 * Takes the text of a report. What is in its file stays there until the report
 * is whole, unless somebody is to watch it grow.
 */
function reportWriter(
  format: ReportFormat,
  path: string | undefined,
  host: Host,
): (text: string) => void {
  const where = path === undefined ? "standard output" : `"${path}"`;
  const what = `Cannot write the report to ${where}`;
  const write = orUsageError(what, () => {
    if (path === undefined) return host.out;
    return format === "jsonl" ? host.create(path) : host.prepare(path);
  });
  return (text) => orUsageError(what, () => write(text));
}
