// SPDX-License-Identifier: GPL-2.0-only

/**
 * A round of a scenario as one list of calls, for the timing loop of a target.
 *
 * @module
 */

import type { Timing } from "../../selftests/target/target.ts";
import {
  type Call,
  structOf,
  withStruct,
} from "../../selftests/target/verbs.ts";
import type { Phase } from "./scenario.ts";
import {
  type CallStep,
  type Step,
  type SweptField,
  unexpected,
} from "./steps.ts";

/** A call of the list: a step that is made once. */
interface RoundCall {
  readonly step: CallStep;
  /** The key of the operation that it is part of. */
  readonly key: string | undefined;
}

/** The calls of all phases, in order. */
export class TimedRound {
  readonly #calls: readonly RoundCall[];

  private constructor(calls: readonly RoundCall[]) {
    this.#calls = calls;
  }

  /** The round of these phases; undefined if a step of theirs is none of the calls that a target can time. */
  static of(phases: readonly Phase[]): TimedRound | undefined {
    const calls: RoundCall[] = [];
    for (const { measures: key, steps } of phases) {
      for (const step of steps) {
        if (!canBeTimed(step)) return undefined;
        for (let i = 0; i < step.times; i++) {
          calls.push({ step: repetition(step, i), key });
        }
      }
    }
    return new TimedRound(calls);
  }

  /** The calls, with structs that nobody wrote to. */
  calls(): Call[] {
    return this.#calls.map(({ step: { call } }) => {
      const struct = structOf(call);
      return struct ? withStruct(call, struct.slice()) : call;
    });
  }

  /**
   * Nanoseconds that the calls of each operation took together. Throws an
   * Error if one did not return what it must.
   */
  sums({ nanoseconds, results }: Timing): Map<string, number> {
    const sums = new Map<string, number>();
    for (const [i, { step, key }] of this.#calls.entries()) {
      const got = results[i]!;
      if (got !== step.ret) throw unexpected(step, got);
      if (key === undefined) continue;
      sums.set(key, (sums.get(key) ?? 0) + nanoseconds[i]!);
    }
    return sums;
  }
}

function canBeTimed(step: Step): step is CallStep {
  return "call" in step && step.call.verb.timed === true;
}

/** The call of a step whose swept fields moved on `times` times. */
function repetition(step: CallStep, times: number): CallStep {
  const struct = structOf(step.call);
  if (struct === undefined || step.sweep.length === 0) return step;
  const bytes = struct.slice();
  const view = new DataView(bytes.buffer);
  for (const field of step.sweep) moveOn(view, field, times);
  return { ...step, call: withStruct(step.call, bytes) };
}

function moveOn(
  view: DataView,
  { offset, size, by }: SweptField,
  times: number,
): void {
  if (size === 8) {
    const first = view.getBigUint64(offset, true);
    view.setBigUint64(offset, first + BigInt(by * times), true);
  } else {
    view.setUint32(offset, view.getUint32(offset, true) + by * times, true);
  }
}
