// SPDX-License-Identifier: GPL-2.0-only

/**
 * Dirty tracking of a type1 container: it does not ask the hardware, so that
 * every page that is mapped counts as written.
 *
 * Linux: vfio_iommu_type1_dirty_pages, vfio_iova_dirty_bitmap.
 *
 * @module
 */

import type { Task } from "../../kernel/interfaces/task.ts";
import { EINVAL } from "../../uapi/errno.ts";
import {
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
  VfioBitmap,
  VfioIommuType1DirtyBitmap,
  VfioIommuType1DirtyRange,
} from "../../uapi/vfio/type1.ts";
import { checkFlags, checkSize, load, loadStruct } from "../pci/structs.ts";
import type { Dma } from "./dma.ts";
import type { Type1Iommu } from "./iommu.ts";

/** Bytes of the longest bitmap (Linux: DIRTY_BITMAP_SIZE_MAX). */
export const DIRTY_BITMAP_SIZE_MAX: number = 2 ** 28;

/** Bits of a bitmap's word. */
const WORD = 64;

const NOT_TRACKED = EINVAL.because("what is written is not noted");

/** What a bitmap is about. */
interface Range {
  readonly iova: bigint;
  readonly length: bigint;
}

/** VFIO_IOMMU_DIRTY_PAGES. Throws EFAULT, EINVAL, EOVERFLOW. */
export function dirtyPages(
  iommu: Type1Iommu,
  task: Task,
  uaddr: number,
): void {
  const layout = VfioIommuType1DirtyBitmap;
  const { cmd } = load(task, uaddr, layout);
  checkFlags(
    cmd.flags,
    VFIO_IOMMU_DIRTY_PAGES_FLAG_START | VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP |
      VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
  );
  switch (cmd.flags) {
    case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
      iommu.tracksDirty = true;
      return;
    case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
      iommu.tracksDirty = false;
      return;
    case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
      getBitmap(iommu, task, uaddr + layout.size, cmd.argsz - layout.size);
      return;
    default:
      throw EINVAL.because("there must be one flag");
  }
}

function getBitmap(
  iommu: Type1Iommu,
  task: Task,
  uaddr: number,
  room: number,
): void {
  const layout = VfioIommuType1DirtyRange;
  const size = layout.size + VfioBitmap.size;
  checkSize(room, size);
  // The bitmap's place is read with the range, before that is looked at.
  const bytes = new Uint8Array(size);
  task.mm.copyFromUser(bytes, uaddr);
  const { iova, length } = layout.at(bytes);
  if (length === 0n) throw EINVAL.because("the length is 0");
  iommu.checkBitmapEnd(iova + length - 1n);
  const range = { iova, length };
  const at = uaddr + layout.size;
  const bitmap = loadBitmap(iommu, task, at, room - layout.size, range);
  if ((iova | length) % iommu.pageSize !== 0n) {
    throw EINVAL.because("the range is not of whole pages");
  }
  for (const dma of iommu.uncut(range)) mark(iommu, task, dma, iova, bitmap);
}

/** The bits of a number that are below its lowest one. */
function lowZeros(value: bigint): bigint {
  return BigInt((value & -value).toString(2).length - 1);
}

/**
 * The address of a bitmap for a range. Throws EINVAL for one that is too short,
 * or of other pages, and what `checkRange` throws: it is asked when the length
 * has been looked at, before anything else.
 */
export function loadBitmap(
  iommu: Type1Iommu,
  task: Task,
  uaddr: number,
  room: number,
  range: Range,
  checkRange?: () => void,
): number {
  checkSize(room, VfioBitmap.size);
  const { cmd } = loadStruct(task, uaddr, VfioBitmap);
  const { pgsize, length, data } = cmd;
  const pages = range.length >> lowZeros(pgsize);
  const words = (pages + 63n) / 64n;
  if (
    pages === 0n || length === 0n || length > BigInt(DIRTY_BITMAP_SIZE_MAX) ||
    length < 8n * words
  ) throw EINVAL.because("the bitmap does not fit the range");
  checkRange?.();
  if (!iommu.tracksDirty) throw NOT_TRACKED;
  if (pgsize !== iommu.pageSize) {
    throw EINVAL.because("a bit stands for the smallest page");
  }
  return Number(data);
}

/**
 * Sets the bits of a mapping's pages in the bitmap of a range that begins at
 * `iova`. Whole words are written; only one that begins before the mapping keeps
 * what it had. Throws EFAULT. (Linux: update_user_bitmap.)
 */
export function mark(
  iommu: Type1Iommu,
  task: Task,
  dma: Pick<Dma, "start" | "length">,
  iova: bigint,
  uaddr: number,
): void {
  const first = Number((dma.start - iova) / iommu.pageSize);
  const shift = first % WORD;
  const end = shift + Number(dma.length / iommu.pageSize);
  const bytes = new Uint8Array(8 * Math.ceil(end / WORD));
  const at = uaddr + (first - shift) / 8;
  if (shift > 0) task.mm.copyFromUser(bytes.subarray(0, 8), at);
  for (let bit = shift; bit < end; bit++) {
    bytes[Math.floor(bit / 8)]! |= 1 << bit % 8;
  }
  task.mm.copyToUser(at, bytes);
}
