// SPDX-License-Identifier: GPL-2.0-only

/**
 * The Markdown report: totals, differences, failures, and the table of all
 * tests, for a page such as a job's summary.
 *
 * @module
 */

import {
  type Column,
  count,
  isFailure,
  isGood,
  type Run,
  skipReasons,
  type TestResult,
} from "../results.ts";
import { type Cause, causesOf } from "../causes.ts";
import { type Commands, failureFacts } from "../failure_facts.ts";
import { escapeMarkup } from "./markup.ts";
import {
  columnName,
  differences,
  groupsOf,
  halfSkipped,
  hasSeveralTargets,
  type Row,
  rowsOf,
} from "../matrix.ts";
import {
  halfSkippedSentence,
  implementation,
  oneLine,
  otherWays,
  passedLines,
  settingsPhrases,
  suiteTitle,
  unmatchedSentences,
} from "../summary.ts";

/** A run as Markdown. */
export function formatMarkdown(run: Run, commands: Commands): string {
  const rows = rowsOf(run);
  const blocks = [
    `# ${isGood(run) ? "Passed" : "Failed"}: ${escapeText(suiteTitle(run))}`,
    ...settingsPhrases(run),
    totalsTable(run),
    ...otherLines(run),
    ...problemList(run),
    ...differenceBlocks(run, rows),
    ...failureBlocks(run, commands),
    ...skipBlock(run),
    ...allTests(run, rows),
  ];
  return blocks.join("\n\n") + "\n";
}

/** A line for each target. */
function totalsTable(run: Run): string {
  const header = ["target", "implementation", "kernel tests", "own tests"];
  const lines = run.columns.map((column) => {
    return [
      code(`${column.spec} ${column.uapi}`),
      escapeText(implementation(column)),
      passedText(column, "kernel"),
      passedText(column, "own"),
      otherWays(count(column.results)).join(", "),
    ];
  });
  return markdownTable([...header, "otherwise"], lines);
}

/** How much passed, each of the kernel's programs by itself. */
function passedText(column: Column, whose: "kernel" | "own"): string {
  return passedLines(column, whose).map(({ passed, program }) =>
    program === null ? passed : `${passed} ${code(program)}`
  ).join(", ");
}

/** Why targets did not come to all tests, and what their results have that the suite has not. */
function otherLines(run: Run): string[] {
  return run.columns.flatMap((column) =>
    [
      ...column.stopped === undefined ? [] : [column.stopped],
      ...unmatchedSentences(column),
    ].map((text) =>
      `**${escapeText(columnName(column, run))}**: ${escapeText(text)}`
    )
  );
}

/** What is wrong beside the tests. */
function problemList({ problems }: Run): string[] {
  if (problems.length === 0) return [];
  const items = problems.map((problem) => `- ${escapeText(problem)}`);
  return ["## Problems", items.join("\n")];
}

/** The tests that targets have different verdicts on. */
function differenceBlocks(run: Run, rows: readonly Row[]): string[] {
  if (!hasSeveralTargets(run)) return [];
  const different = differences(run);
  const half = halfSkipped(run, rows);
  return [
    "## Differences between targets",
    different.length === 0 ? "None." : testTable(run, different),
    ...half > 0 ? [`${halfSkippedSentence(half)}.`] : [],
  ];
}

/** The failures, the first of each cause to be unfolded. */
function failureBlocks(run: Run, commands: Commands): string[] {
  const causes = causesOf(run);
  if (causes.length === 0) return [];
  return ["## Failures", ...causes.map((cause) => causeBlock(cause, commands))];
}

function causeBlock(
  { first: { column, result, title }, others }: Cause,
  commands: Commands,
): string {
  const facts = failureFacts(column.spec, result, commands)
    .map(([name, value]) => `| ${escapeText(name)} | ${code(value)} |`);
  return [
    `<details><summary><code>${escapeMarkup(title)}</code>: ${
      escapeMarkup(oneLine(result.message!))
    }${others.length > 0 ? ` (and ${others.length} more)` : ""}</summary>`,
    "",
    `${escapeText(result.description)}.`,
    "",
    "| | |",
    "| --- | --- |",
    ...facts,
    "",
    ...others.length > 0
      ? [`Like it: ${others.map(({ title }) => code(title)).join(", ")}.`, ""]
      : [],
    "</details>",
  ].join("\n");
}

/** How often what was missing. */
function skipBlock(run: Run): string[] {
  const lines = run.columns.flatMap((column) =>
    skipReasons(column.results).map(([reason, times]) => [
      escapeText(columnName(column, run)),
      String(times),
      escapeText(reason),
    ])
  );
  if (lines.length === 0) return [];
  return ["## Skipped", markdownTable(["target", "tests", "reason"], lines)];
}

/** All tests, by fixture and variant. */
function allTests(run: Run, rows: readonly Row[]): string[] {
  const groups = groupsOf(rows).map(({ name, rows }) =>
    `<details><summary><code>${escapeMarkup(name)}</code>, ${rows.length} ${
      rows.length === 1 ? "test" : "tests"
    }</summary>\n\n${testTable(run, rows)}\n\n</details>`
  );
  return ["## All tests", ...groups];
}

/** A table of tests and targets. */
function testTable(run: Run, rows: readonly Row[]): string {
  const names = run.columns.map((column) => columnName(column, run));
  return markdownTable(
    ["test", ...names.map(code)],
    rows.map(({ id, results }) => [code(id), ...results.map(statusText)]),
  );
}

/** How a test ended, loud if it failed. */
function statusText(result: TestResult | undefined): string {
  if (result === undefined) return "–";
  const { status } = result;
  return isFailure(status) ? `**${status}**` : status;
}

function markdownTable(
  header: readonly string[],
  lines: readonly (readonly string[])[],
): string {
  return [
    `| ${header.join(" | ")} |`,
    `|${" --- |".repeat(header.length)}`,
    ...lines.map((cells) => `| ${cells.join(" | ")} |`),
  ].join("\n");
}

/** Text in which nothing is taken for Markdown or HTML. */
function escapeText(text: string): string {
  return escapeMarkup(oneLine(text)).replace(/[\\`*_[\]|~]/g, "\\$&");
}

/** Text in a fixed font. In HTML, since a `|` or a backtick would end a span in a table. */
function code(text: string): string {
  const lines = escapeMarkup(text).replaceAll("|", "&#124;").split("\n");
  return `<code>${lines.join("<br>")}</code>`;
}
