// SPDX-License-Identifier: GPL-2.0-only

/**
 * How long devices may pause between two looks at what programs stored in
 * memory that they have mapped.
 *
 * None while there is work and shortly after it; then a share of the time for
 * which nothing has happened. So who waits for a device waits longer by that
 * share at most, whatever the wait is, and a device that nobody uses costs
 * next to nothing.
 *
 * @module
 */

/** Milliseconds without work for which there is no pause. */
const SPIN_MS = 1;
/** What share of the time without work a pause is. */
const SHARE = 1 / 8;
/** Milliseconds of the longest pause, if nothing else is said. */
const LONGEST_MS = 4;

/** See the module. */
export class Pace {
  readonly #longest: number;
  #worked = -Infinity;

  /** With pauses of so many milliseconds at most; 0 for none at all. */
  constructor(longest: number = LONGEST_MS) {
    this.#longest = longest;
  }

  /** There was work, at a time in milliseconds. */
  worked(now: number): void {
    this.#worked = now;
  }

  /** Milliseconds to pause from a time on. */
  pause(now: number): number {
    const quiet = now - this.#worked;
    return quiet < SPIN_MS ? 0 : Math.min(this.#longest, quiet * SHARE);
  }
}
