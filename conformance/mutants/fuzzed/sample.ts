// SPDX-License-Identifier: GPL-2.0-only

/**
 * The mutants that are fuzzed each time.
 *
 * @module
 */

/** Their names: some of each subject, found by programs of many kinds. */
export const SAMPLE: readonly string[] = [
  "map-reserved-field",
];
