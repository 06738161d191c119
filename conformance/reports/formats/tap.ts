// SPDX-License-Identifier: GPL-2.0-only

/**
 * The TAP report, version 14 (testanything.org): a subtest for each target in
 * each revision, or a plain list if there is just one.
 *
 * @module
 */

import { splitId } from "../../../selftests/harness/table.ts";
import { isFailure, type Run, type TestResult } from "../results.ts";
import { type Commands, type Fact, failureFacts } from "../failure_facts.ts";
import {
  oneLine,
  settingsPhrases,
  suiteTitle,
  unmatchedSentences,
} from "../summary.ts";

/** A run as TAP. */
export function formatTap(run: Run, commands: Commands): string {
  const lines = [
    "TAP version 14",
    ...[
      suiteTitle(run),
      ...settingsPhrases(run),
      ...run.columns.flatMap(unmatchedSentences),
    ].map((line) => `# ${line}`),
  ];
  const columns = run.columns.map((column) => ({
    name:
      `${column.spec} ${column.uapi}: ${column.target} ${column.targetVersion}`,
    lines: [
      `1..${column.results.length}`,
      ...column.results.flatMap((result, index) =>
        testLines(column.spec, result, index + 1, commands)
      ),
    ],
    good: column.results.every(({ status }) => !isFailure(status)),
  }));
  const [only, ...others] = columns;
  if (only && others.length === 0 && run.problems.length === 0) {
    lines.push(`# ${only.name}`, ...only.lines);
    return lines.join("\n") + "\n";
  }
  lines.push(`1..${columns.length + run.problems.length}`);
  let number = 0;
  for (const { name, lines: inner, good } of columns) {
    lines.push(...subtest(name, inner));
    lines.push(`${good ? "ok" : "not ok"} ${++number} - ${escape(name)}`);
  }
  for (const problem of run.problems) {
    lines.push(`not ok ${++number} - ${escape(problem)}`);
  }
  return lines.join("\n") + "\n";
}

/** The lines of a list inside a list. */
function subtest(name: string, lines: readonly string[]): string[] {
  return [`# Subtest: ${name}`, ...lines.map((line) => `    ${line}`)];
}

/** The test point, and a YAML block if there is something to tell. */
function testLines(
  spec: string,
  result: TestResult,
  number: number,
  commands: Commands,
): string[] {
  const { status, reason, expected, cases } = result;
  const id = splitId(result.id)[1] ?? result.id;
  const point = `${number} - ${escape(id)}`;
  if (cases !== undefined) {
    return [
      ...subtest(escape(id), [
        `1..${cases.length}`,
        ...cases.flatMap((each, index) =>
          testLines(spec, each, index + 1, commands)
        ),
      ]),
      `${isFailure(status) ? "not ok" : "ok"} ${point}`,
      ...result.failure ? yamlBlock(spec, result, commands) : [],
    ];
  }
  switch (status) {
    case "pass":
      return [`ok ${point}`];
    case "skip":
      return [`ok ${point} # SKIP ${escape(reason!)}`];
    case "xfail":
      return [
        `not ok ${point} # TODO ${escape(expected!.reason)}`,
        ...yamlBlock(spec, result, commands),
      ];
    default:
      return [`not ok ${point}`, ...yamlBlock(spec, result, commands)];
  }
}

/** What went wrong. Every value is a double-quoted scalar, which any text fits. */
function yamlBlock(
  spec: string,
  result: TestResult,
  commands: Commands,
): string[] {
  const facts: Fact[] = [
    ["status", result.status],
    ["message", result.message!],
    ...failureFacts(spec, result, commands),
  ];
  // A key may stand there once: the struct of the last ioctl follows that of the last call.
  const seen = new Map<string, number>();
  const lines = facts.map(([name, value]) => {
    const key = name.replaceAll(" ", "_");
    const times = (seen.get(key) ?? 0) + 1;
    seen.set(key, times);
    const suffix = times === 1 ? "" : `_${times}`;
    return `  ${key}${suffix}: ${JSON.stringify(value)}`;
  });
  return ["  ---", ...lines, "  ..."];
}

/** A description in which nothing looks like a directive. */
function escape(text: string): string {
  return oneLine(text).replaceAll("\\", "\\\\").replaceAll("#", "\\#");
}
