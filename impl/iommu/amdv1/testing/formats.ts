// SPDX-License-Identifier: GPL-2.0-only

/**
 * Variants of the format to try.
 *
 * @module
 */

import { FC } from "../entry.ts";
import { AmdV1Format } from "../format.ts";

/** Powers of two from 2^`first` to 2^`last`. */
export function powers(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => 2 ** (first + i));
}

/** As the mock's default. */
export const SMALL = new AmdV1Format({
  granule: 2048,
  levels: 3,
  iovaSize: 2 ** 38,
  addressSize: 2 ** 51,
  pageSizes: powers(11, 36),
  attributes: 0,
});

/** With few sizes. */
const SPARSE = new AmdV1Format({
  ...SMALL,
  pageSizes: [4096, 2 ** 20],
});

/** As the hardware, which has no entries of 512 GiB. */
export const HARDWARE = new AmdV1Format({
  granule: 4096,
  levels: 6,
  iovaSize: 2 ** 64,
  addressSize: 2 ** 52,
  pageSizes: powers(12, 51).filter((size) => size !== 2 ** 39),
  attributes: FC,
});

/** All of them by name. */
export const FORMATS = { SMALL, SPARSE, HARDWARE };
