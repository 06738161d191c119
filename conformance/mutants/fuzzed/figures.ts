// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a run over many mutants came to, in numbers.
 *
 * @module
 */

import type { FoundDifference } from "./events.ts";

/** The middle one, and the largest one. */
export interface Spread {
  readonly median: number;
  readonly max: number;
}

/** The spread of some numbers; of none it is 0. */
export function spreadOf(numbers: readonly number[]): Spread {
  const sorted = numbers.toSorted((a, b) => a - b);
  const median = sorted[sorted.length >> 1] ?? 0;
  return { median, max: sorted.at(-1) ?? 0 };
}

/** Lines about what was found. */
export function formatFigures(found: readonly FoundDifference[]): string[] {
  const sizes = spreadOf(found.map(({ size }) => size));
  const calls = spreadOf(found.map(({ calls }) => calls));
  const times = spreadOf(found.map(({ processorMs }) => processorMs));
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  const profiles = Map.groupBy(found, ({ profile }) => profile);
  const byProfile = [...profiles]
    .sort(([, a], [, b]) => b.length - a.length)
    .map(([name, { length }]) => `${name} ${length}`);
  return [
    `calls of the smallest program: median ${sizes.median}, at most ${sizes.max}`,
    `calls until it was found: median ${calls.median}, at most ${calls.max}`,
    `seconds of processor time: median ${seconds(times.median)}, at most ${
      seconds(times.max)
    }`,
    `found first by: ${byProfile.join(", ")}`,
  ];
}
