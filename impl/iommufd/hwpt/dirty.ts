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
import type { Mm } from "../../kernel/interfaces/mm.ts";
import { EINVAL, EOPNOTSUPP, Errno } from "../../uapi/errno.ts";
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

/** IOMMU_HWPT_SET_DIRTY_TRACKING. */
export function hwptSetDirtyTracking(
  { ctx, cmd }: Ucmd<IommuHwptSetDirtyTracking>,
): void {
  if (cmd.flags & ~IOMMU_HWPT_DIRTY_TRACKING_ENABLE) throw UNKNOWN_FLAG;
  ctx.objects.get(cmd.hwptId, HwptPaging).putAfter((hwpt) => {
    const enable = (cmd.flags & IOMMU_HWPT_DIRTY_TRACKING_ENABLE) !== 0;
    setDirtyTracking(hwpt.ioas.iopt, hwpt.domain, enable);
  });
}

/** IOMMU_HWPT_GET_DIRTY_BITMAP. */
export function hwptGetDirtyBitmap(
  { ctx, cmd, process }: Ucmd<IommuHwptGetDirtyBitmap>,
): void {
  if (cmd.flags & ~IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR) throw UNKNOWN_FLAG;
  if (cmd.reserved) throw RESERVED_FIELD;
  ctx.objects.get(cmd.hwptId, HwptPaging).putAfter((hwpt) => {
    const { iopt } = hwpt.ioas;
    // The driver's flag for NO_CLEAR is the same bit as user space's.
    readAndClearDirty(iopt, hwpt.domain, process.mm, cmd.flags, cmd);
  });
}

/**
 * Turns dirty tracking of a domain on or off. Before it goes on the dirty bits
 * of all areas are cleared, also when it is on already. Throws EOPNOTSUPP if
 * the domain cannot track, and what the driver throws. (Linux:
 * iopt_set_dirty_tracking.)
 */
function setDirtyTracking(
  iopt: IoPagetable,
  domain: Domain,
  enable: boolean,
): void {
  const ops = domain.dirtyOps;
  if (ops === undefined) throw CANNOT_TRACK;
  if (enable) clearDirty(iopt, ops);
  ops.setDirtyTracking(enable);
}

/** Linux: iopt_clear_dirty_data. */
function clearDirty(iopt: IoPagetable, ops: DirtyOps): void {
  for (const area of iopt.areas) {
    if (!area.pages) continue;
    const { start, length } = area;
    ops.readAndClearDirty(Number(start), Number(length), 0, DISCARD);
  }
}

/**
 * Sets the bits of dirty pages in a bitmap of `mm`. `flags` are the driver's.
 * Throws as {@link checkRange}, EOPNOTSUPP if the domain cannot track, ENOMEM.
 *
 * From there on it cannot fail: Linux drops what the walk returns. A range
 * with a hole is read up to the hole, a driver that refuses (as when tracking
 * is off) ends the walk, and a bit whose page of the bitmap is bad is lost,
 * with its dirty bit cleared all the same. (Linux:
 * iopt_read_and_clear_dirty_data.)
 */
function readAndClearDirty(
  iopt: IoPagetable,
  domain: Domain,
  mm: Mm,
  flags: number,
  range: IovaBitmapRange,
): void {
  checkRange(iopt, range);
  const ops = domain.dirtyOps;
  if (ops === undefined) throw CANNOT_TRACK;
  using bitmap = new IovaBitmap(iopt.kernel, mm, range);
  try {
    walkDirty(iopt, ops, flags, range, bitmap);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
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
