// SPDX-License-Identifier: GPL-2.0-only

/**
 * IOVA for fuzzers, which cannot guess where an area is: in "syz" form the low
 * half of the IOVA is the number of an area, the high half an offset into it.
 *
 * Linux: iommufd_test_syz_conv_iova and iommufd_test_syz_conv_iova_id of
 * selftest.c.
 *
 * @module
 */

import { Errno } from "../../uapi/errno.ts";
import { MOCK_FLAGS_ACCESS_SYZ } from "../../uapi/selftest.ts";
import type { IoPagetable } from "../ioas/io_pagetable.ts";
import { Ioas } from "../ioas/ioas.ts";
import type { IommufdCtx } from "../main.ts";

/** The IOVA that a syz form means; 0 if there is no such area. */
export function syzIova(iopt: IoPagetable, syz: bigint): bigint {
  let nth = Number(syz & 0xffff_ffffn);
  for (const area of iopt.areas) {
    if (nth-- === 0) return BigInt.asUintN(64, area.start + (syz >> 32n));
  }
  return 0n;
}

/** Replaces the source IOVA of a copy that has the syz flag, and clears the flag. */
export function convertSyzIova(
  ctx: IommufdCtx,
  cmd: { flags: number; srcIoasId: number; srcIova: bigint },
): void {
  if (!(cmd.flags & MOCK_FLAGS_ACCESS_SYZ)) return;
  cmd.flags &= ~MOCK_FLAGS_ACCESS_SYZ;
  const ioas = findIoas(ctx, cmd.srcIoasId);
  if (ioas === undefined) return;
  cmd.srcIova = syzIova(ioas.iopt, cmd.srcIova);
  ioas.put();
}

function findIoas(ctx: IommufdCtx, id: number): Ioas | undefined {
  try {
    return ctx.objects.get(id, Ioas);
  } catch (error) {
    if (error instanceof Errno) return undefined;
    throw error;
  }
}
