// SPDX-License-Identifier: GPL-2.0-only

/**
 * Mutants by name.
 *
 * @module
 */

import { Glob } from "../lib/glob.ts";
import { UsageError } from "../lib/usage_error.ts";

/** Those of `all` with one of these names, in which a * stands for anything, or all. Throws {@link UsageError} if there are none. */
export function selectMutants<T extends { readonly name: string }>(
  all: readonly T[],
  names: readonly string[],
): readonly T[] {
  if (names.length === 0) return all;
  const patterns = names.map((name) => new Glob(name));
  const mutants = all.filter(({ name }) =>
    patterns.some((pattern) => pattern.matchesAll(name))
  );
  if (mutants.length > 0) return mutants;
  throw new UsageError(`No mutant is called ${names.join(" or ")}.`);
}
