// SPDX-License-Identifier: GPL-2.0-only

/**
 * The file of expectations: read before a run, and written anew after it on
 * demand.
 *
 * @module
 */

import { verdictIds } from "../../selftests/harness/table.ts";
import { Expectations, parseExpectations } from "./expectations.ts";
import { updateExpectations } from "./expectations_update.ts";
import type { Host } from "../lib/host.ts";
import { lineDiff } from "./line_diff.ts";
import type { Options } from "../running/options.ts";
import type { PlannedColumn } from "../running/plan.ts";
import { verdictsOf } from "../reports/cases.ts";
import type { TestResult } from "../reports/results.ts";
import { mergeRuns } from "../running/schedule.ts";
import { orUsageError } from "../lib/usage_error.ts";

/**
 * The expectations that the options name. Throws {@link UsageError} for a file
 * that is wrong, or not there unless it is to be written.
 */
export function readExpectations(
  { expectations: path, updateExpectations, link }: Options,
  host: Host,
): Expectations {
  if (path === undefined) return new Expectations([], "");
  const text = orUsageError(`Cannot read expectations "${path}"`, () => {
    const text = host.readText(path) ?? (updateExpectations ? "[]" : undefined);
    if (text === undefined) throw new Error("no such file");
    return text;
  });
  const read = parseExpectations(text, path, !updateExpectations);
  return link === undefined ? read : read.withLink(link);
}

/** Writes the file after a run with these results; returns what changed, for a person. */
export function rewriteExpectations(
  path: string,
  expectations: Expectations,
  columns: readonly PlannedColumn[],
  results: readonly (readonly TestResult[])[],
  host: Host,
): string {
  const entries = updateExpectations(
    expectations,
    columns.map(({ target, uapi, suite }, index) => {
      const merged = mergeRuns(results[index]!, suite.map(({ id }) => id));
      // Probes have no place in the suite, nor has what only fails together.
      const failed = verdictsOf(merged).filter(({ failure }) => failure);
      const ids = new Set(
        [...verdictIds(suite), ...failed.map(({ id }) => id)],
      );
      return { spec: target.spec, uapi, ids: [...ids], results: merged };
    }),
  );
  const { link } = expectations;
  const after = format(entries, link);
  host.save(path, after);
  const incomplete = entries.filter((entry) =>
    entry.reason.trim() === "" || expectations.linkOf(entry).trim() === ""
  );
  const difference = lineDiff(format(expectations.entries, link), after);
  return [
    difference === ""
      ? `${path} did not change.\n`
      : `${path} changed:\n${difference}`,
    incomplete.length === 0
      ? ""
      : `Before the file can be used, ${incomplete.length} of its entries need a reason or a link: --link URL gives all of them one.\n`,
  ].join("");
}

function format(entries: readonly object[], link?: string): string {
  const file = link === undefined ? entries : { link, expectations: entries };
  return JSON.stringify(file, null, 2) + "\n";
}
