// SPDX-License-Identifier: GPL-2.0-only

/**
 * The mutants that the fuzzer does not find.
 *
 * @module
 */

/** Why a mutant is not found, by its name. */
export const NOT_FOUND: ReadonlyMap<string, string> = new Map<string, string>(
  [],
);
