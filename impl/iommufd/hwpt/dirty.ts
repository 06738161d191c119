// SPDX-License-Identifier: GPL-2.0-only

/**
 * Dirty tracking of HWPTs: turning it on and off, and reading what was
 * written into a bitmap of the caller's.
 *
 * Linux: iommufd_hwpt_{set_dirty_tracking,get_dirty_bitmap} of hw_pagetable.c
 * and the functions of io_pagetable.c that they call.
 *
 * @module
 */

import type { DirtyBitmap, DirtyOps } from "../../iommu/dirty.ts";
import type { Domain } from "../../iommu/domain.ts";
import { EINVAL, EOPNOTSUPP, errnoOf } from "../../uapi/errno.ts";
import {
  IOMMU_HWPT_DIRTY_TRACKING_ENABLE,
  IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR,
  type IommuHwptGetDirtyBitmap,
  type IommuHwptSetDirtyTracking,
} from "../../uapi/iommufd.ts";
import { ContigAreas } from "../pages/area.ts";
import { HwptPaging } from "./hw_pagetable.ts";
import type { IoPagetable } from "../ioas/io_pagetable.ts";
import { lastIova } from "../ioas/iova_alloc.ts";
import {
  NO_LENGTH,
  RESERVED_FIELD,
  UNKNOWN_FLAG,
} from "../objects/refusals.ts";
import { IovaBitmap, type IovaBitmapRange } from "./iova_bitmap.ts";
import type { Ucmd } from "../objects/ucmd.ts";

const CANNOT_TRACK = EOPNOTSUPP.because("the HWPT cannot track writes");

/** For clearing dirty bits that nobody wants to see. */
const DISCARD: DirtyBitmap = { isRecording: false, record() {} };

/**
 * IOMMU_HWPT_SET_DIRTY_TRACKING. Before it goes on the dirty bits of all areas
 * are cleared, also when it is on already. Throws EOPNOTSUPP if the domain
 * cannot track, and what the driver throws. (Linux: iopt_set_dirty_tracking.)
 */
export function hwptSetDirtyTracking(
  { ctx, cmd }: Ucmd<IommuHwptSetDirtyTracking>,
): void {
  if (cmd.flags & ~IOMMU_HWPT_DIRTY_TRACKING_ENABLE) throw UNKNOWN_FLAG;
  ctx.objects.get(cmd.hwptId, HwptPaging).putAfter(({ ioas, domain }) => {
    const enable = (cmd.flags & IOMMU_HWPT_DIRTY_TRACKING_ENABLE) !== 0;
    const ops = dirtyOpsOf(domain);
    if (enable) clearDirty(ioas.iopt, ops);
    ops.setDirtyTracking(enable);
  });
}

/**
 * IOMMU_HWPT_GET_DIRTY_BITMAP. Throws as {@link checkRange}, EOPNOTSUPP if the
 * domain cannot track, ENOMEM.
 *
 * From there on it cannot fail: Linux drops what the walk returns. A range
 * with a hole is read up to the hole, a driver that refuses (as when tracking
 * is off) ends the walk, and a bit whose page of the bitmap is bad is lost,
 * with its dirty bit cleared all the same. (Linux:
 * iopt_read_and_clear_dirty_data.)
 */
export function hwptGetDirtyBitmap(
  { ctx, cmd, process }: Ucmd<IommuHwptGetDirtyBitmap>,
): void {
  if (cmd.flags & ~IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR) throw UNKNOWN_FLAG;
  if (cmd.reserved) throw RESERVED_FIELD;
  ctx.objects.get(cmd.hwptId, HwptPaging).putAfter(({ ioas, domain }) => {
    const { iopt } = ioas;
    checkRange(iopt, cmd);
    const ops = dirtyOpsOf(domain);
    const bitmap = new IovaBitmap(iopt.kernel, process.mm, cmd);
    // The driver's flag for NO_CLEAR is the same bit as user space's.
    errnoOf(() => walkDirty(iopt, ops, cmd.flags, cmd, bitmap));
    bitmap[Symbol.dispose]();
  });
}

/** Throws EOPNOTSUPP if the domain cannot track. */
function dirtyOpsOf({ dirtyOps }: Domain): DirtyOps {
  if (dirtyOps === undefined) throw CANNOT_TRACK;
  return dirtyOps;
}

/** Linux: iopt_clear_dirty_data. */
function clearDirty(iopt: IoPagetable, ops: DirtyOps): void {
  for (const area of iopt.areas) {
    if (!area.pages) continue;
    const { iova, length } = area;
    ops.readAndClearDirty(Number(iova), Number(length), 0, DISCARD);
  }
}

/** Ends at a hole. Throws what the driver throws. (Linux: __iommu_read_and_clear_dirty.) */
function walkDirty(
  iopt: IoPagetable,
  ops: DirtyOps,
  flags: number,
  { iova, length }: IovaBitmapRange,
  bitmap: IovaBitmap,
): void {
  const iter = new ContigAreas(iopt, iova, lastIova(iova, length));
  for (; iter.area; iter.next()) {
    const size = Number(iter.curLast - iter.curIova + 1n);
    ops.readAndClearDirty(Number(iter.curIova), size, flags, bitmap);
  }
}

/**
 * Throws EINVAL for length 0, for a page size of 0 and for ends that are not
 * multiples of the IOVA alignment and the page size; EOVERFLOW for a range
 * past the end of the IOVA space. A page size need not be a power of two: a
 * multiple here is a number that has none of the bits of the page size minus
 * one. (Linux: iommufd_check_iova_range.)
 */
function checkRange(iopt: IoPagetable, range: IovaBitmapRange): void {
  const { iova, length, pageSize } = range;
  if (length === 0n) throw NO_LENGTH;
  const ends = iova | (lastIova(iova, length) + 1n);
  if (ends & BigInt(iopt.iovaAlignment - 1)) {
    throw EINVAL.because("the range is not as aligned as the IOAS demands");
  }
  if (pageSize === 0n) throw EINVAL.because("the page size is 0");
  if (ends & (pageSize - 1n)) {
    throw EINVAL.because("the range is not aligned to the page size");
  }
}
