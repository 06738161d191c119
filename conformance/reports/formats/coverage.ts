// SPDX-License-Identifier: GPL-2.0-only

/**
 * The coverage report: which part of the API a run reached, as a matrix of
 * ioctls by what they came to, with flags, choices and types of objects.
 *
 * @module
 */

import {
  type FileWithIoctls,
  type Given,
  OK,
  type Reached,
} from "../../api_coverage/coverage.ts";
import { measure, type Measured } from "../../api_coverage/measure.ts";
import { MEANS, type Pair } from "../../api_coverage/pairs.ts";
import { pairsIn } from "../../api_coverage/reachable.ts";
import type { Column, Run } from "../results.ts";
import { suiteTitle } from "../summary.ts";

/** What stands for a pair that was not reached, by what it takes. */
const MARKS = { caller: ".", fails: "f", race: "r", hardware: "h" } as const;
const LEGEND =
  "x reached, . not reached, f only when a step fails, r only in a race, h only with other hardware, ! not in the table";

/** A run's coverage as text. */
export function formatCoverage(run: Run): string {
  return [
    `API coverage of ${suiteTitle(run)}`,
    ...run.columns.flatMap(columnLines),
    ...run.problems.map((problem) => `\n${problem}`),
    "",
  ].join("\n");
}

function columnLines(column: Column): string[] {
  const { spec, uapi, target, targetVersion, reached = [] } = column;
  const measured = measure(uapi, reached);
  return [
    "",
    `# ${spec} ${uapi} (${target} ${targetVersion}), ${column.results.length} tests`,
    "",
    ...measured.map(totalLine),
    "",
    LEGEND,
    ...measured.flatMap(({ file, missing }) => [
      ...matrix(file, reached, pairsIn(uapi)),
      ...fieldLines(file, reached),
      ...missingLines(missing),
    ]),
  ];
}

function totalLine({ file, byCalls: { all, reached } }: Measured): string {
  const percent = (100 * reached / all).toFixed(1);
  return `${file}: ${reached} of ${all} pairs of ioctl and result that calls bring about (${percent} %)`;
}

/** A line for each ioctl, a column for each result. */
function matrix(
  file: FileWithIoctls,
  reached: readonly Reached[],
  pairs: readonly Pair[],
): string[] {
  const marks = new Map<string, Map<string, string>>();
  const mark = (name: string, result: string, what: string) => {
    const row = marks.get(name) ?? new Map<string, string>();
    marks.set(name, row.set(result, what));
  };
  for (const { file: of, name, result, by } of pairs) {
    if (of === file) mark(name, result, MARKS[by]);
  }
  for (const { file: of, name, results } of reached) {
    if (of !== file) continue;
    for (const result of results.keys()) {
      mark(name, result, marks.get(name)?.has(result) ? "x" : "!");
    }
  }
  const all = new Set([...marks.values()].flatMap((row) => [...row.keys()]));
  all.delete(OK);
  const results = [OK, ...[...all].sort()];
  const width = Math.max(...[...marks.keys()].map((name) => name.length));
  const rows = [...marks].map(([name, row]) =>
    `${name.padEnd(width)}  ${
      results.map((result) => row.get(result) ?? " ").join(" ")
    }`.trimEnd()
  );
  return ["", `## ${file}`, "", ...headings(results, width + 2), ...rows];
}

/** The names of results, each from top to bottom. */
function headings(results: readonly string[], indent: number): string[] {
  const height = Math.max(...results.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) => {
    const letters = results.map((result) => result.padStart(height)[line]!);
    return `${" ".repeat(indent)}${letters.join(" ")}`.trimEnd();
  });
}

/** What the flags, choices and ids were; in brackets what was always refused. */
function fieldLines(
  file: FileWithIoctls,
  reached: readonly Reached[],
): string[] {
  const rows = reached.filter(({ file: of, fields }) =>
    of === file && fields.size > 0
  );
  if (rows.length === 0) return [];
  return [
    "",
    "flags, choices, and types of objects; (in brackets) what was always refused",
    "",
    ...rows.flatMap(({ name, fields }) => [
      name,
      ...[...fields].map(([field, values]) =>
        `  ${field}: ${[...values].map(formatGiven).join(", ")}`
      ),
    ]),
  ];
}

function formatGiven([name, { ok }]: [string, Given]): string {
  return ok > 0 ? name : `(${name})`;
}

function missingLines(missing: readonly Pair[]): string[] {
  if (missing.length === 0) return [];
  return [
    "",
    "not reached",
    "",
    ...missing.map(({ name, result, when, by }) =>
      `${name} ${result}: ${when}${by === "caller" ? "" : ` (${MEANS[by]})`}`
    ),
  ];
}
