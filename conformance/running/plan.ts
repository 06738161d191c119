// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the options select: targets, their revisions, and the tests there.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import type { Test } from "../../selftests/harness/harness.ts";
import { narrow, verdictIds } from "../../selftests/harness/table.ts";
import { bestRevision, givenTests } from "./given.ts";
import type { Options } from "./options.ts";
import { shardOf } from "./schedule.ts";
import { Selection } from "./select.ts";
import type { TargetSpec } from "../targets/target_spec.ts";
import { TargetStartError } from "../targets/test_target.ts";
import { suggestion, UsageError } from "../lib/usage_error.ts";

/** Where suite and targets come from. */
export interface Sources {
  /** The suite. */
  allTests(uapi: RevisionName): readonly Test[];
  /** The targets there are. */
  parseTarget(spec: string): TargetSpec;
}

/** A target in a revision, and what is to run there. */
export interface PlannedColumn {
  /** The target. */
  readonly target: TargetSpec;
  /** The revision. */
  readonly uapi: RevisionName;
  /** The tests that are selected. */
  readonly tests: readonly Test[];
  /** All tests of the suite in that revision. */
  readonly suite: readonly Test[];
  /** The tests that were selected, also where others gave no result of them. */
  readonly selected: readonly Test[];
  /** Why the target did not start when it was asked for its revision, if it did not. */
  readonly startError?: TargetStartError;
}

/** The options that select. */
export type PlanOptions = Pick<
  Options,
  "targets" | "uapi" | "filters" | "suite" | "shard" | "timeoutMs"
>;

/**
 * Works out what the options select. Rejects with {@link UsageError} where
 * that is nothing, with {@link TargetStartError} where no target started that
 * had to be started to be asked for its revision.
 */
export async function plan(
  options: PlanOptions,
  sources: Sources,
): Promise<PlannedColumn[]> {
  const all = await allColumns(options, sources);
  const selection = new Selection(options.suite, options.filters);
  const suite = all.flatMap(({ suite }) => suite);
  const [unmatched] = selection.unmatched(suite);
  if (unmatched !== undefined) {
    throw new UsageError(
      `--filter "${unmatched}" matches no test.${
        suggestion(unmatched, [
          ...suite.map(({ id }) => id),
          ...verdictIds(suite),
        ])
      }`,
    );
  }
  const columns = all
    .map((column) => {
      const { target: { results }, suite } = column;
      const selected = selectTests(column, selection, options);
      const tests = results ? givenTests(results, suite, selected) : selected;
      return { ...column, tests, selected };
    })
    .filter(({ tests }) => tests.length > 0);
  if (columns.length === 0) {
    throw new UsageError("The options select no test.");
  }
  for (const { target: { spec }, uapi } of all) {
    if (columns.some(({ target }) => target.spec === spec)) continue;
    throw new UsageError(
      `The options select no test of target "${spec}" (uAPI ${uapi}).`,
    );
  }
  return columns;
}

/** A target, and its revisions or why they are not known. */
interface AskedTarget extends Pick<PlannedColumn, "target" | "startError"> {
  readonly revisions?: readonly RevisionName[];
}

/**
 * The targets in the revisions that are asked for, with all tests. One that
 * does not start has those of the others.
 */
async function allColumns(
  options: PlanOptions,
  { allTests, parseTarget }: Sources,
): Promise<PlannedColumn[]> {
  const asked: AskedTarget[] = [];
  for (const target of options.targets.map(parseTarget)) {
    asked.push(await askTarget(target, options, allTests));
  }
  const known = new Set(asked.flatMap(({ revisions = [] }) => revisions));
  const [failed] = asked.filter(({ startError }) => startError);
  if (failed?.startError && known.size === 0) throw failed.startError;
  return asked.flatMap(({ target, revisions = [...known], startError }) =>
    revisions.map((uapi) => {
      const suite = allTests(uapi);
      const column = { target, uapi, tests: suite, suite, selected: suite };
      return startError ? { ...column, startError } : column;
    })
  );
}

async function askTarget(
  target: TargetSpec,
  options: PlanOptions,
  allTests: Sources["allTests"],
): Promise<AskedTarget> {
  try {
    const revisions = await revisionsOf(target, options);
    const { results } = target;
    if (results === undefined) return { target, revisions };
    // A file of results is of one revision, and does not say of which.
    return { target, revisions: [bestRevision(results, revisions, allTests)] };
  } catch (error) {
    if (!(error instanceof TargetStartError)) throw error;
    return { target, startError: error };
  }
}

function selectTests(
  { target, suite }: PlannedColumn,
  selection: Selection,
  { shard }: PlanOptions,
): readonly Test[] {
  const { onlyTest } = target;
  const tests = selection.select(suite).flatMap((test) =>
    onlyTest === undefined || test.id === onlyTest
      ? [test]
      : narrow(test, ({ id }) => id === onlyTest) ?? []
  );
  return shard ? shardOf(tests, shard) : tests;
}

/** The revisions that `--uapi` names. Rejects with {@link UsageError} for one that the target lacks. */
async function revisionsOf(
  target: TargetSpec,
  { uapi, timeoutMs }: PlanOptions,
): Promise<readonly RevisionName[]> {
  const revisions = await starting(
    target,
    () => target.revisions({ timeoutMs }),
  );
  if (uapi === "all") return revisions;
  const named = revisions.find((revision) => revision === uapi);
  if (named !== undefined) return [named];
  throw new UsageError(
    `Target "${target.spec}" does not offer uAPI "${uapi}": it has ${
      revisions.join(", ")
    }.${suggestion(uapi, revisions)}`,
  );
}

/** Starts a target by calling `start`. Rejects with {@link TargetStartError}. */
export async function starting<T>(
  { spec }: TargetSpec,
  start: () => Promise<T>,
): Promise<T> {
  try {
    return await start();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new TargetStartError(`Cannot start target "${spec}": ${why}`);
  }
}
