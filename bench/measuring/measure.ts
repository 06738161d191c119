// SPDX-License-Identifier: GPL-2.0-only

/**
 * The timing loop: rounds of a scenario with rounds of its floor in between,
 * so that what else the machine does falls on both.
 *
 * @module
 */

import { processorMs } from "../../conformance/lib/processor_time.ts";
import type { RevisionName } from "../../impl/uapi/revision.ts";
import { Machine, type TimedPhase } from "./machine.ts";
import type { Operation, Scenario } from "./scenario.ts";

/** How long to measure. */
export interface Effort {
  /** Milliseconds of work before measuring, for the compiler; one round at least. */
  readonly warmup: number;
  /** Milliseconds of work that are measured. */
  readonly measure: number;
  /** Fewest rounds. */
  readonly minRounds: number;
  /** Most rounds. */
  readonly maxRounds: number;
}

/** For the report: a median that holds still. */
export const THOROUGH: Effort = {
  warmup: 400,
  measure: 800,
  minRounds: 9,
  maxRounds: 2000,
};

/** For a scenario whose rounds take seconds: the compiler has seen it all in smaller ones. */
const SLOW: Partial<Effort> = { warmup: 0, minRounds: 3 };

/** What came out for one operation, in milliseconds per call. */
export interface Result {
  /** The operation. */
  readonly operation: Operation;
  /** One number for each round, sorted. */
  readonly times: Float64Array;
  /** The same of the floor; absent where there is none. */
  readonly floor: Float64Array | undefined;
}

/** From so many milliseconds on, a busy machine does something else in between, however often one tries. */
const INTERRUPTED_MS = 1;

/** A moment, in milliseconds. */
interface Moment {
  readonly clock: number;
  /** The processor time that this program has had. */
  readonly processor: number;
}

function now(): Moment {
  return { processor: processorMs(), clock: performance.now() };
}

/**
 * Milliseconds since a moment. Where others may have had the processor, those
 * that this program had if they are fewer: they are more where the compiler
 * and the collector work beside it.
 */
function since({ clock, processor }: Moment): number {
  const milliseconds = performance.now() - clock;
  if (milliseconds < INTERRUPTED_MS) return milliseconds;
  return Math.min(milliseconds, processorMs() - processor);
}

/**
 * Measures all operations of a scenario; warmFloors() must have been called
 * before. Throws an Error if a call does not do what it should.
 */
export async function measure(
  scenario: Scenario,
  effort: Effort,
  revision?: RevisionName,
): Promise<Result[]> {
  const limits = scenario.slow ? { ...effort, ...SLOW } : effort;
  const machine = await Machine.boot(scenario.frameOrder, revision);
  const rounds = new Rounds(scenario, await machine.prepare(scenario));
  if (limits.warmup > 0) {
    rounds.run(limits.warmup, 1, limits.maxRounds, false);
  }
  rounds.run(limits.measure, limits.minRounds, limits.maxRounds, true);
  machine.shutDown();
  return rounds.results();
}

/** A phase of a round, or the floor of one, and the milliseconds that it took. */
interface Part {
  readonly key: string | undefined;
  /** Returns what a floor returns. */
  readonly run: () => number | void;
  readonly times: number[];
}

/** A scenario on its machine. */
class Rounds {
  readonly #scenario: Scenario;
  readonly #phases: readonly Part[];
  readonly #floor: readonly Part[];
  /** Keeps the floors from being optimised away. */
  #sink = 0;

  constructor(scenario: Scenario, phases: readonly TimedPhase[]) {
    this.#scenario = scenario;
    this.#phases = phases.map(({ key, program }) => {
      return { key, run: () => program.run(), times: [] };
    });
    this.#floor = Object.entries(scenario.floor?.() ?? {})
      .map(([key, run]) => ({ key, run, times: [] }));
  }

  /** Runs for some time, at least `min` and at most `max` rounds. */
  run(milliseconds: number, min: number, max: number, keep: boolean): void {
    const parts = [...this.#phases, ...this.#floor];
    const start = now();
    for (let round = 0; round < max; round++) {
      if (round >= min && since(start) >= milliseconds) return;
      for (const { run, times } of parts) {
        const start = now();
        this.#sink += run() ?? 0;
        const time = since(start);
        if (keep) times.push(time);
      }
    }
  }

  results(): Result[] {
    if (Number.isNaN(this.#sink)) throw new Error("A floor counts in numbers");
    return Object.entries(this.#scenario.operations).map(([key, operation]) => {
      const [phase, floor] = [this.#phases, this.#floor]
        .map((parts) => parts.find((part) => part.key === key));
      return resultOf(operation, phase!.times, floor?.times);
    });
  }
}

/** A result, of the milliseconds that all calls of a round took. */
export function resultOf(
  operation: Operation,
  times: readonly number[],
  floor?: readonly number[],
): Result {
  const perCall = (rounds: readonly number[]) =>
    Float64Array.from(rounds, (time) => time / operation.calls).sort();
  return { operation, times: perCall(times), floor: floor && perCall(floor) };
}

/** Two results of the same operation as one. */
export function together(a: Result, b: Result): Result {
  return {
    operation: a.operation,
    times: Float64Array.of(...a.times, ...b.times).sort(),
    floor: a.floor && Float64Array.of(...a.floor, ...b.floor!).sort(),
  };
}

/** The middle one of sorted numbers. */
export function median(sorted: Float64Array): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
