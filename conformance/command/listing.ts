// SPDX-License-Identifier: GPL-2.0-only

/**
 * Lists tests without running them.
 *
 * @module
 */

import type { Test } from "../../selftests/harness/harness.ts";
import { verdictIds } from "../../selftests/harness/table.ts";
import { columnName } from "../reports/matrix.ts";
import type { Column } from "../reports/results.ts";
import { skipReason } from "../running/run_one.ts";
import type { TargetInfo } from "../../selftests/target/target.ts";

/** The selected tests of a target in a revision. */
export interface ListedColumn extends Pick<Column, "spec" | "uapi"> {
  /** What the target says about itself. */
  readonly info: TargetInfo;
  /** The tests in order. */
  readonly tests: readonly Test[];
}

/**
 * One line for each test, or for each of its cases: the id, followed by `# SKIP
 * reason` where the target could not run it. Several targets or revisions are told apart by a first
 * column.
 */
export function formatList(columns: readonly ListedColumn[]): string {
  const names = columns.map((column) => columnName(column, { columns }));
  const width = Math.max(...names.map((name) => name.length));
  return columns.flatMap(({ info, tests }, index) => {
    const first = columns.length > 1 ? `${names[index]!.padEnd(width)}  ` : "";
    return tests.flatMap((test) => {
      const skip = skipReason(test, info);
      const more = skip ? ` # SKIP ${skip.reason}` : "";
      return verdictIds([test]).map((id) => `${first}${id}${more}\n`);
    });
  }).join("");
}

/** All that is known of the tests, as a JSON array. */
export function formatListJson(columns: readonly ListedColumn[]): string {
  const tests = columns.flatMap(({ spec, uapi, info, tests }) =>
    tests.map((test) => {
      const { id, program, needs, description, reference, rules, table } = test;
      const skip = skipReason(test, info);
      return {
        id,
        target: spec,
        uapi,
        program: program ?? null,
        needs,
        description,
        reference,
        rules,
        ...table && {
          cases: table.cases.map(({ id, description }) => ({
            id,
            description,
          })),
        },
        ...skip && { skip: skip.reason },
      };
    })
  );
  return JSON.stringify(tests, null, 2) + "\n";
}
