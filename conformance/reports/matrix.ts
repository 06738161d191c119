// SPDX-License-Identifier: GPL-2.0-only

/**
 * A run as a table: a row for each test, a column for each target in each
 * revision.
 *
 * @module
 */

import { verdictsOf } from "./cases.ts";
import {
  type Column,
  count,
  type Counts,
  isFailure,
  type Run,
  type Status,
  type TestResult,
  worst,
} from "./results.ts";

/** One test, or one case of a test, on all targets. */
export interface Row {
  /** Its id. */
  readonly id: string;
  /** Its results in the order of the columns; undefined where it did not take part. */
  readonly results: readonly (TestResult | undefined)[];
}

/** The tests of a fixture and variant. */
export interface Group {
  /** `fixture` or `fixture.variant`. */
  readonly name: string;
  /** The tests in order. */
  readonly rows: readonly Row[];
}

/** The tests of a run as rows, in an order that suits all columns. */
export function rowsOf({ columns }: Run): Row[] {
  return alignRows(columns.map(({ results }) => results));
}

/** The cases of a test as rows. */
export function caseRowsOf({ results }: Row): Row[] {
  return alignRows(results.map((result) => result?.cases ?? []));
}

/** The results of columns, those of the same test side by side. */
function alignRows(columns: readonly (readonly TestResult[])[]): Row[] {
  const ids: string[] = [];
  for (const results of columns) {
    const known = new Set(ids);
    let at = 0;
    for (const { id } of results) {
      if (known.has(id)) at = ids.indexOf(id) + 1;
      else ids.splice(at++, 0, id);
    }
  }
  const byId = columns.map((results) =>
    new Map(results.map((result) => [result.id, result]))
  );
  return ids.map((id) => ({ id, results: byId.map((each) => each.get(id)) }));
}

/** The rows by fixture and variant. */
export function groupsOf(rows: readonly Row[]): Group[] {
  const groups = Map.groupBy(rows, ({ results }) => {
    const { fixture, variant } = results.find((result) => result)!;
    return variant ? `${fixture}.${variant}` : fixture;
  });
  return [...groups].map(([name, rows]) => ({ name, rows }));
}

/** A group in one column. */
export interface Cell {
  /** How its tests ended. */
  readonly counts: Counts;
  /** How the worst of them ended; undefined if the column has none of them. */
  readonly status: Status | undefined;
  /** How long they took together. */
  readonly durationMs: number;
}

/** What a group came to in a column. */
export function cellOf({ rows }: Group, column: number): Cell {
  const results = rows.flatMap((row) => row.results[column] ?? []);
  return {
    counts: count(results),
    status: results.length === 0
      ? undefined
      : worst(results.map(({ status }) => status)),
    durationMs: results.reduce((sum, { durationMs }) => sum + durationMs, 0),
  };
}

/** True if the run has more than one target; revisions of one target do not count. */
export function hasSeveralTargets(
  { columns }: { readonly columns: readonly Pick<Column, "spec">[] },
): boolean {
  return new Set(columns.map(({ spec }) => spec)).size > 1;
}

/** What a column is called: as short as it can be told from the others. */
export function columnName(
  { spec, uapi }: Pick<Column, "spec" | "uapi">,
  run: Parameters<typeof hasSeveralTargets>[0],
): string {
  return hasSeveralTargets(run) ? `${spec} ${uapi}` : uapi;
}

/**
 * The tests and cases in which targets came to different verdicts. Who skipped
 * one or did not come to it has none.
 */
export function differences(run: Run): Row[] {
  if (!hasSeveralTargets(run)) return [];
  const rows = alignRows(
    run.columns.map(({ results }) => verdictsOf(results)),
  );
  return rows.filter(({ results }) => {
    const verdicts = results.flatMap((result) =>
      result && hasVerdict(result) ? [result.status] : []
    );
    return new Set(verdicts).size > 1;
  });
}

/** How many tests only some of the targets had a verdict on. */
export function halfSkipped(run: Run, rows: readonly Row[]): number {
  if (!hasSeveralTargets(run)) return 0;
  return rows.filter(({ results }) => {
    const there = results.filter((result) => result !== undefined);
    const judged = there.filter(hasVerdict);
    return judged.length > 0 && judged.length < there.length;
  }).length;
}

function hasVerdict({ status }: TestResult): boolean {
  return status !== "skip" && status !== "notrun";
}

/** A failure and where it happened. */
export interface PlacedFailure {
  /** The column. */
  readonly column: Column;
  /** The failed test or case. */
  readonly result: TestResult;
  /** Which one it is, where, and how it ended: `a.b [6.12] fail`. */
  readonly title: string;
}

/** All failures that there is something to tell about. */
export function failuresOf(run: Pick<Run, "columns">): PlacedFailure[] {
  return run.columns.flatMap((column) => {
    const name = columnName(column, run);
    return verdictsOf(column.results)
      .filter(({ status }) => isFailure(status) && status !== "notrun")
      .map((result) => {
        const title = `${result.id} [${name}] ${result.status}`;
        return { column, result, title };
      });
  });
}
