// SPDX-License-Identifier: GPL-2.0-only

/**
 * Brings expectations up to date with what a run came to.
 *
 * @module
 */

import { splitId } from "../../selftests/harness/table.ts";
import {
  type Condition,
  type Expectation,
  type Expectations,
  EXPECTED_STATUSES,
  type ExpectedStatus,
  expectedStatuses,
} from "./expectations.ts";
import { verdictsOf } from "../reports/cases.ts";
import type { SuiteColumn } from "../running/run_targets.ts";
import type { TestResult } from "../reports/results.ts";

/** What a run tells about a target in a revision. */
export interface UpdateColumn extends SuiteColumn {
  /** Results of those that ran, as the target gave them. */
  readonly results: readonly TestResult[];
}

/** What is known of a test or case on a target. */
interface Verdict extends Pick<SuiteColumn, "spec" | "uapi"> {
  readonly id: string;
  /** How it ended; undefined if it did not run. */
  readonly status: ExpectedStatus | undefined;
  readonly message: string;
  /** The index of the entry that decides on it, or -1. */
  readonly entry: number;
}

/**
 * The entries after the run: those that hold stay as they are, those that hold
 * for some of their tests are told for these one by one, those that hold for
 * none go, and failures that nobody expected come. New entries have no link:
 * a person must add it.
 */
export function updateExpectations(
  expectations: Expectations,
  columns: readonly UpdateColumn[],
): Expectation[] {
  const verdicts = columns.flatMap((column) =>
    verdictsIn(column, expectations)
  );
  const byEntry = Map.groupBy(verdicts, ({ entry }) => entry);
  const stale = new Set(expectations.staleEntries(columns));
  const updated = expectations.entries.flatMap((entry, index) =>
    stale.has(index)
      ? []
      : updateEntry(entry, byEntry.get(index) ?? [], columns)
  );
  const failed = (byEntry.get(-1) ?? [])
    .filter(({ status }) => status !== undefined && status !== "pass");
  const added = entriesFor(failed, columns, ({ message }) => message, "");
  return [...updated, ...added];
}

function verdictsIn(
  { spec, uapi, ids, results }: UpdateColumn,
  expectations: Expectations,
): Verdict[] {
  const byId = new Map(
    verdictsOf(results).map((result) => [result.id, result]),
  );
  return ids.map((id) => {
    const result = byId.get(id);
    return {
      id,
      spec,
      uapi,
      status: EXPECTED_STATUSES.find((known) => known === result?.status),
      message: result?.message ?? "",
      entry: expectations.find(id, spec, uapi),
    };
  });
}

/** What becomes of an entry. */
function updateEntry(
  entry: Expectation,
  verdicts: readonly Verdict[],
  columns: readonly UpdateColumn[],
): Expectation[] {
  const expected = expectedStatuses(entry);
  const wrong = verdicts.filter(({ status }) =>
    status !== undefined && !expected.includes(status)
  );
  if (wrong.length === 0) return [entry];
  const right = verdicts.filter((each) => !wrong.includes(each));
  const changed = wrong.filter(({ status }) => status !== "pass");
  const kept = entriesFor(
    right.map((each) => ({ ...each, status: undefined })),
    columns,
    () => entry.reason,
    entry.link,
  ).map((each) => ({ ...each, expect: entry.expect }));
  return [
    ...kept,
    ...entriesFor(changed, columns, () => entry.reason, entry.link),
  ];
}

/**
 * Entries for tests on targets, one by one. What ends in the same way in all
 * cases of a test, or in all revisions of a target that have it, is one entry.
 */
function entriesFor(
  verdicts: readonly Verdict[],
  columns: readonly UpdateColumn[],
  reasonOf: (each: Verdict) => string,
  link: string,
): Expectation[] {
  const groups = Map.groupBy(
    joinCases(verdicts, columns),
    ({ spec, id, status }) => JSON.stringify([spec, id, status]),
  );
  return [...groups.values()].flatMap((group) => {
    const [{ spec, id, status }] = group as [Verdict];
    const uapis = columns
      .filter((column) => column.spec === spec)
      .filter(({ ids }) =>
        ids.some((each) => each === id || splitId(each)[0] === id)
      );
    const conditions: Condition[] = group.length === uapis.length
      ? [{ target: spec }]
      : group.map(({ uapi }) => ({ target: spec, uapi }));
    return conditions.map((when, index) => ({
      id,
      when,
      expect: status ?? "fail",
      reason: reasonOf(group[index]!),
      link,
    }));
  });
}

/** The same with the test in place of its cases where all of them ended in the same way. */
function joinCases(
  verdicts: readonly Verdict[],
  columns: readonly UpdateColumn[],
): Verdict[] {
  const groups = Map.groupBy(
    verdicts,
    ({ spec, uapi, id, status }) =>
      JSON.stringify([spec, uapi, splitId(id)[0], status]),
  );
  return [...groups.values()].flatMap((group) => {
    const { spec, uapi, id } = group[0]!;
    const [test] = splitId(id);
    const cases = columns
      .find((column) => column.spec === spec && column.uapi === uapi)!
      .ids.filter((each) => splitId(each)[0] === test);
    return group.length === cases.length ? [{ ...group[0]!, id: test }] : group;
  });
}
