// SPDX-License-Identifier: GPL-2.0-only

/**
 * The report for GitHub Actions: workflow commands, which become annotations.
 *
 * @module
 */

import { count, isGood, type Run } from "../results.ts";
import { type Commands, failureFacts } from "../failure_facts.ts";
import { columnName, differences, failuresOf } from "../matrix.ts";
import {
  otherWays,
  passedSentence,
  suiteTitle,
  unmatchedSentences,
} from "../summary.ts";

/** A run as workflow commands: an error for each failure, a notice or an error for each target's totals. */
export function formatGithub(run: Run, commands: Commands): string {
  const lines = failuresOf(run).map(({ column, result, title }) => {
    const facts = failureFacts(column.spec, result, commands)
      .map(([name, value]) => `${name}: ${value}`);
    return annotation("error", title, [result.message!, ...facts].join("\n"));
  });
  for (const problem of run.problems) {
    lines.push(annotation("error", "Problem", problem));
  }
  for (const { id, results } of differences(run)) {
    const verdicts = run.columns.map((column, index) =>
      `${columnName(column, run)}: ${results[index]?.status ?? "-"}`
    );
    const title = `Targets differ in ${id}`;
    lines.push(annotation("warning", title, verdicts.join("\n")));
  }
  const totals = run.columns.map((column) =>
    [
      `${columnName(column, run)}: ${passedSentence(column)}`,
      ...otherWays(count(column.results)),
      ...column.stopped === undefined ? [] : [column.stopped],
      ...unmatchedSentences(column),
    ].join("; ")
  );
  const level = isGood(run) ? "notice" : "error";
  lines.push(annotation(level, suiteTitle(run), totals.join("\n")));
  return lines.join("\n") + "\n";
}

/** A workflow command. */
function annotation(
  level: "error" | "warning" | "notice",
  title: string,
  text: string,
): string {
  return `::${level} title=${escapeProperty(title)}::${escapeData(text)}`;
}

function escapeData(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D")
    .replaceAll("\n", "%0A");
}

function escapeProperty(text: string): string {
  return escapeData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
