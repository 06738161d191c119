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
import { type CallStep, type Step, unexpected } from "./steps.ts";
import { SweptStruct } from "./swept_struct.ts";

/** A call of the list: a repetition of a step. */
interface RoundCall {
  readonly step: CallStep;
  readonly call: Call;
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
        const struct = new SweptStruct(step);
        struct.rewind();
        for (let left = step.times; left > 0; left--) {
          const call = withStruct(step.call, struct.bytes.slice());
          calls.push({ step, call, key });
          struct.advance();
        }
      }
    }
    return new TimedRound(calls);
  }

  /** The calls, with structs that nobody wrote to. */
  calls(): Call[] {
    return this.#calls.map(({ call }) => {
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
