// SPDX-License-Identifier: GPL-2.0-only

/**
 * Numbers for tests that do anything at all: they repeat from run to run, and
 * are more often some that mean something.
 *
 * @module
 */

import { IOVA } from "./bench.ts";

/** A number below another one. */
export type Random = (below: number) => number;

/** Numbers by a seed that is not 0 (a xorshift). */
export function numbers(seed: number): Random {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** One of some. */
export function oneOf<T>(random: Random, from: readonly T[]): T {
  return from[random(from.length)]!;
}

/** A value of 32 bits. */
export function value(random: Random): number {
  switch (random(4)) {
    case 0:
      return IOVA + random(0x10000);
    case 1:
      return 2 ** random(32);
    case 2:
      return random(256);
    default:
      return random(2 ** 32);
  }
}
