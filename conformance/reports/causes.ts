// SPDX-License-Identifier: GPL-2.0-only

/**
 * Failures that have one cause, as far as can be told: the same call came to
 * the same end where another one was expected.
 *
 * @module
 */

import { failuresOf, type PlacedFailure } from "./matrix.ts";
import type { Run } from "./results.ts";

/** Failures of a target in a revision that look alike: the first, and the others. */
export interface Cause {
  /** Stands for all of them. */
  readonly first: PlacedFailure;
  /** In the order in which they were found. */
  readonly others: readonly PlacedFailure[];
}

/** A call without what differs from test to test: the descriptor. */
function kindOf(call: string): string {
  return call.replace(/\(-?\d+/, "(");
}

/** What failures of one cause share. */
function signatureOf({ column, result }: PlacedFailure): string {
  const { status, failure, message } = result;
  const { assertion, expected, actual } = failure ?? {};
  const last = failure?.lastIoctl ?? failure?.lastCall;
  const how = assertion === undefined
    ? [message]
    : [assertion, expected, actual];
  return JSON.stringify([
    column.spec,
    column.uapi,
    status,
    ...how,
    last && kindOf(last.call),
    last?.struct && [last.struct.name, last.struct.fields.size],
  ]);
}

/** The failures of a run by their causes, in the order of the first of each. */
export function causesOf(run: Pick<Run, "columns">): Cause[] {
  const bySignature = Map.groupBy(failuresOf(run), signatureOf);
  return [...bySignature.values()].map(([first, ...others]) => ({
    first: first!,
    others,
  }));
}
