// SPDX-License-Identifier: GPL-2.0-only

/**
 * What was found: differences, those of one cause together.
 *
 * @module
 */

import type { Program } from "../../../selftests/target/program.ts";
import type { Difference, Ran } from "../compare/compare.ts";

/** A program that came to something else on the other side. */
export interface Found {
  /** The program. */
  readonly program: Program;
  /** What differs first. */
  readonly difference: Difference;
  /** What it came to on our side. */
  readonly ours: Ran;
  /** On the other side, as far as it got. */
  readonly theirs: Ran;
}

/** Differences of one cause. */
export interface Cause {
  /** The cause, by which they are told from others. */
  readonly cause: string;
  /** The smallest program that shows it. */
  readonly found: Found;
  /** What repeats the program that showed it first. */
  readonly seed: string;
  /** The other side's name. */
  readonly side: string;
  /** How many programs showed it. */
  count: number;
}

/** Makes a program smaller as long as it still shows the cause. */
export type Shrink = (found: Found, cause: string) => Promise<Found>;

/** All that was found. */
export class Findings {
  /** Names the cause of a difference. */
  readonly causeOf: (program: Program, difference: Difference) => string;
  readonly #causes = new Map<string, Cause>();

  /** Nothing was found yet. */
  constructor(
    causeOf: (program: Program, difference: Difference) => string,
  ) {
    this.causeOf = causeOf;
  }

  /** In the order in which they were found. */
  get all(): readonly Cause[] {
    return [...new Set(this.#causes.values())];
  }

  /**
   * Takes a difference: resolves to its cause if that is new. One whose cause
   * is known is counted, and not made smaller.
   */
  async add(
    found: Found,
    seed: string,
    side: string,
    shrink: Shrink,
  ): Promise<Cause | undefined> {
    const first = this.causeOf(found.program, found.difference);
    if (this.#isKnown(first)) return undefined;
    const small = await shrink(found, first);
    // It may have become what was seen before in a smaller program.
    const cause = this.causeOf(small.program, small.difference);
    if (this.#isKnown(cause)) {
      this.#causes.set(first, this.#causes.get(cause)!);
      return undefined;
    }
    const added: Cause = { cause, found: small, seed, side, count: 1 };
    this.#causes.set(first, added).set(cause, added);
    return added;
  }

  #isKnown(cause: string): boolean {
    const known = this.#causes.get(cause);
    if (known) known.count++;
    return known !== undefined;
  }
}
