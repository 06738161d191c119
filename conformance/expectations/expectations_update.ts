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
  patternsOf,
} from "./expectations.ts";
import { Glob } from "../lib/glob.ts";
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
 * none go, and failures that nobody expected come, one entry for those that
 * failed alike. New entries are tracked where the file says; where it says
 * nothing a person must add the link.
 */
export function updateExpectations(
  expectations: Expectations,
  columns: readonly UpdateColumn[],
): Expectation[] {
  const verdicts = columns.flatMap((column) =>
    verdictsIn(column, expectations)
  );
  const byEntry = Map.groupBy(verdicts, ({ entry }) => entry);
  const stale = expectations.stalePatterns(columns);
  const updated = expectations.entries.flatMap((entry, index) => {
    const left = patternsOf(entry)
      .filter((pattern) => !stale[index]!.includes(pattern));
    if (left.length === 0) return [];
    const known = left.length < patternsOf(entry).length
      ? { ...entry, id: oneOrAll(left) }
      : entry;
    return updateEntry(known, byEntry.get(index) ?? [], columns);
  });
  const failed = (byEntry.get(-1) ?? [])
    .filter(({ status }) => status !== undefined && status !== "pass");
  const link = expectations.link === undefined ? { link: "" } : {};
  const added = entriesFor(failed, columns, ({ message }) => message, link);
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
    linkIn(entry),
    expected.includes("pass"),
  ).map((each) => ({ ...each, expect: entry.expect }));
  return [
    ...kept,
    ...entriesFor(changed, columns, () => entry.reason, linkIn(entry)),
  ];
}

/** The link of an entry, if it has one of its own. */
function linkIn({ link }: Expectation): Pick<Expectation, "link"> {
  return link === undefined ? {} : { link };
}

/** Patterns as an entry has them. */
function oneOrAll(patterns: readonly string[]): Expectation["id"] {
  return patterns.length === 1 ? patterns[0]! : patterns;
}

/**
 * Entries for tests on targets. What ends in the same way in all cases of a
 * test, or in all revisions of a target that have it, is told once; and tests
 * with the same reason are one entry, unless they are to be told `apart`.
 */
function entriesFor(
  verdicts: readonly Verdict[],
  columns: readonly UpdateColumn[],
  reasonOf: (each: Verdict) => string,
  link: Pick<Expectation, "link">,
  apart = false,
): Expectation[] {
  const groups = Map.groupBy(
    joinCases(verdicts, columns),
    ({ spec, id, status }) => JSON.stringify([spec, id, status]),
  );
  const specs = [...new Set(columns.map(({ spec }) => spec))];
  const single = [...groups.values()].flatMap((group) => {
    const [{ spec, id, status }] = group as [Verdict];
    const target = patternFor(spec, specs);
    const uapis = columns
      .filter((column) => column.spec === spec)
      .filter(({ ids }) =>
        ids.some((each) => each === id || splitId(each)[0] === id)
      );
    const conditions: Condition[] = group.length === uapis.length
      ? [{ target }]
      : group.map(({ uapi }) => ({ target, uapi }));
    return conditions.map((when, index) => ({
      id,
      when,
      expect: status ?? "fail",
      reason: reasonOf(group[index]!),
      ...link,
    }));
  });
  if (apart) return single;
  const alike = Map.groupBy(
    single,
    ({ id: _, ...more }) => JSON.stringify(more),
  );
  return [...alike.values()].map((entries) => ({
    ...entries[0]!,
    id: oneOrAll(entries.map(({ id }) => id)),
  }));
}

/**
 * A pattern for a target that holds no more than it must: of a command or a
 * path the name of the program, so that it is the same on every machine.
 * The whole of it where another target would be meant too.
 */
function patternFor(spec: string, specs: readonly string[]): string {
  const [, scheme, rest] = /^(stdio|unix|module):(.*)$/s.exec(spec) ?? [];
  if (rest === undefined) return spec;
  const words = rest.split(/\s+/);
  const isProgram = (word: string) => /^[^-].*[/.][a-z_]\w*$/i.test(word);
  const first = Math.max(0, words.findIndex(isProgram));
  // What follows an option is an argument.
  const options = words.findIndex((word, at) =>
    at > first && word.startsWith("-")
  );
  const program = words.slice(0, options < 0 ? undefined : options)
    .findLast(isProgram) ?? words[0]!;
  const name = program.slice(program.lastIndexOf("/") + 1);
  const pattern = `${scheme}:*${name}*`;
  const glob = new Glob(pattern);
  const isPlain = /^[\w.+-]+$/.test(name);
  return isPlain && specs.filter((each) => glob.matchesAll(each)).length === 1
    ? pattern
    : spec;
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
