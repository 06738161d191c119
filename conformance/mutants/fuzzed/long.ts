// SPDX-License-Identifier: GPL-2.0-only

/**
 * The mutants whose smallest program has more than eight calls.
 *
 * @module
 */

/** Why no program of eight calls shows a mutant, by its name. */
export const LONG: ReadonlyMap<string, string> = new Map<string, string>([]);
