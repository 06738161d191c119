// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a run of the fuzzer came to, in numbers.
 *
 * @module
 */

import { errnoName } from "../../../impl/uapi/errno.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { Outcome, Program } from "../../../selftests/target/program.ts";
import { isIoctl } from "../../../selftests/target/verbs.ts";
import { stepName } from "../compare/compare.ts";

/** Counts by name. */
export type Counts = ReadonlyMap<string, number>;

/** The numbers of a run. */
export class Totals {
  /** Programs that were made. */
  programs = 0;
  /** Their steps. */
  calls = 0;
  /** How often a program reached a known bug of Linux that answers wrongly, and differed there, by the bug's name. */
  readonly bugs = new Map<string, number>();
  /** How many programs were cut before a known bug that hangs or crashes, by its name. */
  readonly cuts = new Map<string, number>();
  /** How often a side was started again. */
  restarts = 0;
  readonly #pairs = new Map<string, Set<number>>();
  readonly #uapi: RevisionName;
  readonly #now: () => number;
  readonly #start: number;

  /** Counts from now on; the clock is in milliseconds. */
  constructor(uapi: RevisionName, now: () => number) {
    this.#uapi = uapi;
    this.#now = now;
    this.#start = now();
  }

  /** Counts a program and what it came to on our side. */
  count(program: Program, outcomes: readonly Outcome[]): void {
    this.programs++;
    this.calls += program.length;
    for (const [i, step] of program.entries()) {
      const outcome = outcomes[i]!;
      if (outcome.kind !== "returned") continue;
      if (!isIoctl(step.call)) continue;
      const name = stepName(program, step, this.#uapi);
      const errnos = this.#pairs.get(name) ?? new Set();
      this.#pairs.set(name, errnos.add(Math.min(outcome.result, 0)));
    }
  }

  /** Counts a known bug. */
  met(bug: string): void {
    increase(this.bugs, bug);
  }

  /** Counts a program that was cut. */
  cut(bug: string): void {
    increase(this.cuts, bug);
  }

  /** Distinct pairs of an ioctl (with its test operation) and its errno or success. */
  get pairs(): number {
    return this.#pairs.values().reduce((sum, { size }) => sum + size, 0);
  }

  /** The errnos of each ioctl, by name. */
  errnos(): Map<string, string[]> {
    return new Map(
      [...this.#pairs].sort().map(([name, errnos]) => [
        name,
        [...errnos].sort((a, b) => b - a).map((each) =>
          each === 0 ? "0" : errnoName(each)
        ),
      ]),
    );
  }

  /** Seconds since the start. */
  get seconds(): number {
    return (this.#now() - this.#start) / 1000;
  }

  /** Calls per second. */
  get speed(): number {
    return this.seconds > 0 ? this.calls / this.seconds : 0;
  }
}

function increase(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
