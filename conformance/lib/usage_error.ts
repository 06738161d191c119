// SPDX-License-Identifier: GPL-2.0-only

/**
 * Mistakes on the command line.
 *
 * @module
 */

import { CommandError } from "./exit_code.ts";
import { printable } from "./printable.ts";

/** A command line that cannot be run. Its message is made printable. */
export class UsageError extends CommandError {
  override name = "UsageError";
  override readonly exitCode = 2;

  constructor(message: string, options?: ErrorOptions) {
    super(printable(message), options);
  }
}

/** What `action` returns. Throws a {@link UsageError} of `what` could not be done, and why, where it throws. */
export function orUsageError<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new UsageError(`${what}: ${reasonOf(error)}`);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  return error instanceof Error ? error.message : String(error);
}

/** ` Did you mean "…"?` with the candidate that is nearest to a word, or nothing when none is near. */
export function suggestion(
  word: string,
  candidates: Iterable<string>,
): string {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    // As many letters are inserted at least: the distance of long words takes long.
    if (Math.abs(word.length - candidate.length) >= bestDistance) continue;
    const distance = editDistance(word, candidate);
    const hasLetterInCommon =
      distance < Math.max(word.length, candidate.length);
    if (distance < bestDistance && hasLetterInCommon) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best === undefined ? "" : ` Did you mean "${best}"?`;
}

/** The least number of insertions, deletions and substitutions from `a` to `b`. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, substituted));
    }
    row = next;
  }
  return row[b.length]!;
}
