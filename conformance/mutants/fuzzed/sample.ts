// SPDX-License-Identifier: GPL-2.0-only

/**
 * The mutants that are fuzzed each time.
 *
 * @module
 */

/** Their names: some of each subject. */
export const SAMPLE: readonly string[] = [
  "reserved-field-errno",
  "struct-exact-size",
  "object-any-class",
  "abort-keeps-id",
  "close-leaves-objects",
  "long-struct-junk",
  "hwpt-alloc-min-size",
  "map-reserved-field",
  "unmap-nothing",
  "ranges-emsgsize",
  "unmap-cuts-tail",
  "copy-gains-write",
  "access-refused-unwind",
  "invalidate-count",
  "reserved-owner",
  "option-busy",
  "pages-count",
  "failed-map-stays",
  "pasid-attach-twice",
  "pasid-any-hwpt",
];
