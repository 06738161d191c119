// SPDX-License-Identifier: GPL-2.0-only

/**
 * A round of a scenario as one list of calls, for the timing loop of a target.
 *
 * @module
 */

import type { TargetProcess, Timing } from "../../selftests/target/target.ts";
import {
  type Call,
  structOf,
  withStruct,
} from "../../selftests/target/verbs.ts";
import type { Phase } from "./scenario.ts";
import { type CallStep, type Step, unexpected } from "./steps.ts";
import { SweptStruct } from "./swept_struct.ts";

/** A call of the list: a repetition of a step. */
export interface RoundCall {
  /** The step. */
  readonly step: CallStep;
  /** What it is in this repetition. */
  readonly call: Call;
  /** The key of the operation that it is part of. */
  readonly key: string | undefined;
}

/** The calls of all phases, in order; undefined if a step of theirs is none of the calls that a target can time. */
export function timedRound(
  phases: readonly Phase[],
): readonly RoundCall[] | undefined {
  const calls: RoundCall[] = [];
  for (const { measures: key, steps } of phases) {
    for (const step of steps) {
      if (!canBeTimed(step)) return undefined;
      const struct = new SweptStruct(step);
      struct.rewind();
      for (let left = step.times; left > 0; left--) {
        const call = withStruct(step.call, struct.bytes.slice());
        calls.push({ step, call, key });
        struct.advance();
      }
    }
  }
  return calls;
}

/** Calls of a request; a longer round is several, and cannot be repeated in one. */
export const REQUEST_CALLS = 5000;

/**
 * Makes the calls of a round `times` times; resolves to the nanoseconds that
 * those of each operation took together. Rejects if one did not return what it
 * must.
 */
export async function timeRound(
  process: TargetProcess,
  round: readonly RoundCall[],
  times: number,
): Promise<Map<string, number>> {
  const sums = new Map<string, number>();
  for (let at = 0; at < round.length; at += REQUEST_CALLS) {
    const part = round.slice(at, at + REQUEST_CALLS);
    const timing = await process.time(times, callsOf(part));
    for (const [key, sum] of sumsOf(part, timing)) {
      sums.set(key, (sums.get(key) ?? 0) + sum);
    }
  }
  return sums;
}

/** The calls of a round, with structs that nobody wrote to. */
export function callsOf(round: readonly RoundCall[]): Call[] {
  return round.map(({ call }) => {
    const struct = structOf(call);
    return struct ? withStruct(call, struct.slice()) : call;
  });
}

/**
 * Nanoseconds that the calls of each operation took together. Throws an
 * Error if one did not return what it must.
 */
function sumsOf(
  round: readonly RoundCall[],
  { nanoseconds, results }: Timing,
): Map<string, number> {
  const sums = new Map<string, number>();
  for (const [i, { step, key }] of round.entries()) {
    const got = results[i]!;
    if (got !== step.ret) throw unexpected(step, got);
    if (key === undefined) continue;
    sums.set(key, (sums.get(key) ?? 0) + nanoseconds[i]!);
  }
  return sums;
}

function canBeTimed(step: Step): step is CallStep {
  return "call" in step && step.call.verb.timed === true;
}
