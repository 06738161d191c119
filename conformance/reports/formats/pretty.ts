// SPDX-License-Identifier: GPL-2.0-only

/**
 * The report for people: a table of fixtures and variants by target, what the
 * targets differ in, then each failure in detail, then the totals.
 *
 * @module
 */

import { bold, dim, green, red, stripAnsiCode, yellow } from "@std/fmt/colors";
import { verdictsOf } from "../cases.ts";
import {
  allResults,
  type Column,
  count,
  isFailure,
  type Run,
  skipReasons,
  type Status,
} from "../results.ts";
import { causesOf } from "../causes.ts";
import { type Commands, failureFacts } from "../failure_facts.ts";
import {
  type Cell,
  cellOf,
  columnName,
  differences,
  type Group,
  groupsOf,
  halfSkipped,
  hasSeveralTargets,
  type PlacedFailure,
  type Row,
  rowsOf,
} from "../matrix.ts";
import {
  formatMillis,
  halfSkippedSentence,
  implementation,
  otherWays,
  passedSentence,
  settingsPhrases,
  suiteTitle,
  unmatchedSentences,
} from "../summary.ts";

/** Where the values of a failure's facts begin. */
const FACT_INDENT = 13;
/** How many failures are named beside the first of their cause. */
const NAMED = 3;
/** Characters of a column's name from which on it is told by a letter. */
const LONG_NAME = 20;

/** A run as text for people, in colours or without. */
export function formatPretty(
  run: Run,
  commands: Commands,
  color: boolean,
): string {
  const rows = rowsOf(run);
  const names = shortNames(run);
  const lines = [
    ...heading(run, names),
    "",
    ...table(run, groupsOf(rows), names),
    ...differenceSection(run, rows, names),
    ...failureSection(run, commands),
    ...problemSection(run),
    "",
    ...run.columns.flatMap((column) => totalLines(column, run)),
  ];
  const text = lines.join("\n") + "\n";
  return color ? text : stripAnsiCode(text);
}

/** What columns are called in the table: letters where the names would not fit. */
function shortNames(run: Run): string[] {
  const names = run.columns.map((column) => columnName(column, run));
  if (names.every((name) => name.length < LONG_NAME)) return names;
  return names.map((_, index) =>
    index < 26 ? String.fromCharCode(65 + index) : `#${index + 1}`
  );
}

/** What ran against what. */
function heading(run: Run, names: readonly string[]): string[] {
  const settings = settingsPhrases(run).join(", ");
  const lines = settings === "" ? [] : [settings];
  if (!hasSeveralTargets(run)) {
    const [column] = run.columns;
    const implementations = new Set(run.columns.map(implementation));
    const on = `${[...implementations].join(", ")} (${column!.spec})`;
    return [`${suiteTitle(run)} on ${on}`, ...lines];
  }
  const width = Math.max(...names.map((name) => name.length));
  for (const [index, column] of run.columns.entries()) {
    const name = names[index]!;
    const full = columnName(column, run);
    const what = name === full ? "" : `${full}  `;
    lines.push(`  ${name.padEnd(width)}  ${what}${implementation(column)}`);
  }
  return [suiteTitle(run), ...lines];
}

/** A line for each fixture and variant, a column for each target. */
function table(
  run: Run,
  groups: readonly Group[],
  names: readonly string[],
): string[] {
  const nameWidth = Math.max(...groups.map(({ name }) => name.length));
  const rows = groups.map((group) => ({
    name: group.name.padEnd(nameWidth),
    cells: run.columns.map((_, column) => cellOf(group, column)),
  }));
  const widths = names.map((name, column) =>
    Math.max(
      name.length,
      ...rows.map(({ cells }) => cellText(cells[column]!).length),
    )
  );
  const header = ["", " ".repeat(nameWidth)]
    .concat(names.map((name, column) => name.padEnd(widths[column]!)));
  const lines = rows.map(({ name, cells }) => {
    const texts = cells.map((cell, column) =>
      paintOf(cell.status)(cellText(cell).padEnd(widths[column]!))
    );
    const millis = cells.reduce((sum, { durationMs }) => sum + durationMs, 0);
    return ["", name, ...texts, dim(formatMillis(millis))].join("  ");
  });
  return [bold(header.join("  ").trimEnd()), ...lines];
}

/** A group in a column: how many passed, and what became of the others. */
function cellText({ counts, status }: Cell): string {
  if (status === undefined) return "-";
  if (counts.pass === counts.total) return `ok ${counts.pass}`;
  const verdict = isFailure(status) ? "FAIL" : counts.pass > 0 ? "ok" : status;
  return `${verdict} ${counts.pass}/${counts.total}, ${
    otherWays(counts).join(", ")
  }`;
}

/** The colour of a status, or of none. */
function paintOf(status: Status | undefined): (text: string) => string {
  if (status === undefined) return dim;
  if (isFailure(status)) return red;
  return status === "pass" ? green : yellow;
}

/** The tests that targets have different verdicts on. */
function differenceSection(
  run: Run,
  rows: readonly Row[],
  names: readonly string[],
): string[] {
  if (!hasSeveralTargets(run)) return [];
  const different = differences(run);
  const half = halfSkipped(run, rows);
  const lines = ["", bold("Differences between targets")];
  if (different.length === 0) lines.push("  none");
  for (const { id, results } of different) {
    const verdicts = results.map((result, column) =>
      `${names[column]} ${result ? paintOf(result.status)(result.status) : "-"}`
    );
    lines.push(`  ${id}: ${verdicts.join(", ")}`);
  }
  if (half > 0) lines.push(yellow(`  ${halfSkippedSentence(half)}`));
  return lines;
}

/** The failures by their causes, the first of each in detail. */
function failureSection(run: Run, commands: Commands): string[] {
  const causes = causesOf(run);
  if (causes.length === 0) return [];
  const lines = ["", bold("Failures")];
  let number = 1;
  for (const { first, others } of causes) {
    lines.push("", ...failureLines(first, number, commands));
    if (others.length > 0) lines.push(yellow(alsoLine(others)));
    number += 1 + others.length;
  }
  const ran = verdictsOf(allResults(run))
    .filter(({ status }) => status !== "skip" && status !== "notrun").length;
  if (causes.length === 1 && ran > 1 && number > ran) {
    const verdict = `All ${ran} tests failed in the same way: ` +
      "the target or its set-up is likely at fault.";
    lines.push("", red(verdict));
  }
  return lines;
}

/** Failures of the same cause by name, as many as there is room for. */
function alsoLine(others: readonly PlacedFailure[]): string {
  const names = others.slice(0, NAMED).map(({ result }) => result.id);
  const left = others.length - names.length;
  if (left > 0) names.push(`and ${left} more`);
  return `   and ${others.length} like it: ${names.join(", ")}`;
}

/** One failure in detail. */
function failureLines(
  { column, result, title }: PlacedFailure,
  number: number,
  commands: Commands,
): string[] {
  const { failure, message } = result;
  const lines = [
    red(`${number}) ${title}`),
    dim(indent(result.description, 3)),
  ];
  if (failure?.assertion === undefined) lines.push(indent(message!, 3));
  if (failure?.stack !== undefined) {
    const stack = failure.stack.split("\n").slice(1);
    lines.push(...stack.map((line) => dim(`   ${line}`)));
  }
  for (const [name, value] of failureFacts(column.spec, result, commands)) {
    const text = indent(value, FACT_INDENT).trimStart();
    lines.push(`   ${dim(name.padEnd(8))}  ${text}`);
  }
  return lines;
}

/** Every line of a text moved to the right. */
function indent(text: string, by: number): string {
  return text.replaceAll(/^/gm, " ".repeat(by));
}

/** What is wrong beside the tests. */
function problemSection({ problems }: Run): string[] {
  if (problems.length === 0) return [];
  return [
    "",
    bold("Problems"),
    ...problems.map((problem) => red(`  ${problem}`)),
  ];
}

/** The totals of a column, and why tests were skipped. */
function totalLines(column: Column, run: Run): string[] {
  const { results, stopped } = column;
  const name = columnName(column, run);
  const ways = otherWays(count(results));
  const line = [
    `${name}: ${passedSentence(column)}`,
    ...ways.length > 0 ? [ways.join(", ")] : [],
  ].join("; ");
  const failed = results.some(({ status }) => isFailure(status));
  const margin = " ".repeat(name.length + 2);
  const reasons = skipReasons(results).map(([reason, times]) =>
    yellow(`${margin}${times} skipped: ${reason}`)
  );
  return [
    failed ? red(line) : green(line),
    ...stopped === undefined ? [] : [red(`${margin}${stopped}`)],
    ...unmatchedSentences(column).map((each) => yellow(margin + each)),
    ...reasons,
  ];
}
