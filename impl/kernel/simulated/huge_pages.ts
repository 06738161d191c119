// SPDX-License-Identifier: GPL-2.0-only

/**
 * Sizes of huge pages.
 *
 * @module
 */

/** Where mmap and memfd_create have the logarithm of a size in their flags. */
export const HUGE_SHIFT = 26;
/** The bits of it. */
export const HUGE_MASK = 0x3f;

/** Bytes by what stands in the flags; 0 is the default. */
const SIZES: ReadonlyMap<number, number> = new Map([
  [0, 2 ** 21],
  [21, 2 ** 21],
  [30, 2 ** 30],
]);

/** Bytes of the huge pages that the flags name; undefined where there are none of that size (Linux: hstate_sizelog). */
export function hugePageSize(flags: number): number | undefined {
  return SIZES.get((flags >>> HUGE_SHIFT) & HUGE_MASK);
}
