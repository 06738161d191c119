// SPDX-License-Identifier: GPL-2.0-only

/**
 * Whether a mutant ended as it should, by what is listed of it.
 *
 * @module
 */

import type { FuzzVerdict } from "./trial.ts";

/** Calls of the smallest program that a fault may need. */
export const MOST_CALLS = 8;

/** What is known of mutants: their names, each with the reason. */
export interface Lists {
  /** Those that are not found. */
  readonly notFound: ReadonlyMap<string, string>;
  /** Those whose smallest program has more than {@link MOST_CALLS} calls. */
  readonly long: ReadonlyMap<string, string>;
}

/** What is wrong with a verdict; undefined for nothing. A list that says too much is wrong too. */
export function problemOf(
  name: string,
  verdict: FuzzVerdict,
  { notFound, long }: Lists,
): string | undefined {
  switch (verdict.verdict) {
    case "broken":
      return verdict.why;
    case "not found":
      return notFound.has(name) ? undefined : "no program shows it";
    case "hung":
    case "crashed":
      return notFound.has(name) ? "it is found, but is listed" : undefined;
    case "found": {
      if (notFound.has(name)) return "it is found, but is listed";
      const isLong = verdict.size > MOST_CALLS;
      if (isLong === long.has(name)) return undefined;
      return isLong
        ? `its smallest program has ${verdict.size} calls`
        : `its smallest program has ${verdict.size} calls, but it is listed for more`;
    }
  }
}
