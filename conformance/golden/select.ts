// SPDX-License-Identifier: GPL-2.0-only

/**
 * Chooses few programs that reach much.
 *
 * @module
 */

import type { Candidate } from "./candidates/candidates.ts";

/** Steps that a program costs beside its own. */
const EACH = 10;

/**
 * Chooses programs until none reaches what `covered` lacks, to which is added
 * what they reach: always the one that reaches most for its length.
 */
export function select(
  candidates: readonly Candidate[],
  covered: Set<string>,
): Candidate[] {
  const chosen: Candidate[] = [];
  let left = [...candidates];
  for (;;) {
    let best: Candidate | undefined;
    let bestWorth = 0;
    left = left.filter((candidate) => {
      const { keys, program } = candidate;
      const fresh = keys.difference(covered).size;
      const worth = fresh / (program.length + EACH);
      if (worth > bestWorth) [best, bestWorth] = [candidate, worth];
      return fresh > 0;
    });
    if (best === undefined) return chosen;
    chosen.push(best);
    for (const key of best.keys) covered.add(key);
  }
}
