// SPDX-License-Identifier: GPL-2.0-only

/**
 * IOVA for fuzzers, which cannot guess where an area is: in "syz" form the low
 * half of the IOVA is the number of an area, the high half an offset into it.
 *
 * Linux: iommufd_test_syz_conv_iova of selftest.c.
 *
 * @module
 */

import type { IoPagetable } from "./io_pagetable.ts";

/** The IOVA that a syz form means; 0 if there is no such area. */
export function syzIova(iopt: IoPagetable, syz: bigint): bigint {
  let nth = Number(syz & 0xffff_ffffn);
  for (const area of iopt.areas) {
    if (nth-- === 0) return BigInt.asUintN(64, area.iova + (syz >> 32n));
  }
  return 0n;
}
