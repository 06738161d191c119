// SPDX-License-Identifier: GPL-2.0-only

/**
 * IOMMU_HWPT_INVALIDATE: user space changed the page table of a nested HWPT, or
 * what a virtual IOMMU caches.
 *
 * Linux: iommufd_hwpt_invalidate of hw_pagetable.c.
 *
 * @module
 */

import type { UserDataArray } from "../../iommu/user_data.ts";
import { EINVAL, errnoOf } from "../../uapi/errno.ts";
import type { IommuHwptInvalidate } from "../../uapi/iommufd.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import { RESERVED_FIELD } from "../objects/refusals.ts";
import { IommufdObject } from "../objects/object.ts";
import type { Ucmd } from "../objects/ucmd.ts";

/** Entries that one call may have. */
const ENTRY_NUM_MAX = 1 << 19;

/**
 * IOMMU_HWPT_INVALIDATE. Whatever happens, `entryNum` goes back as the number
 * of entries that were carried out, and EFAULT in that hides other errnos.
 */
export function hwptInvalidate(ucmd: Ucmd<IommuHwptInvalidate>): void {
  const { cmd, process } = ucmd;
  const array: UserDataArray = {
    mm: process.mm,
    type: cmd.dataType,
    uptr: Number(cmd.dataUptr),
    entryLen: cmd.entryLen,
    entryNum: cmd.entryNum,
    handled: 0,
  };
  const errno = errnoOf(() => invalidate(ucmd, array));
  cmd.entryNum = array.handled;
  ucmd.respond();
  if (errno !== undefined) throw errno;
}

function invalidate(
  { ctx, cmd }: Ucmd<IommuHwptInvalidate>,
  array: UserDataArray,
): void {
  if (cmd.reserved !== 0) throw RESERVED_FIELD;
  const { entryLen, entryNum } = array;
  // Bounds what one call can do, and what it can make the kernel read.
  if (entryNum !== 0) {
    if (cmd.dataUptr === 0n) throw EINVAL.because("the array is at address 0");
    if (entryLen === 0 || entryLen > PAGE_SIZE) {
      throw EINVAL.because("an entry has no bytes, or more than a page has");
    }
    if (entryNum > ENTRY_NUM_MAX) {
      throw EINVAL.because("there are more than 2^19 entries");
    }
  }
  ctx.objects.get(cmd.hwptId, IommufdObject).putAfter((object) => {
    if (!hasCache(object)) {
      const { invalidateOtherErrno } = ctx.kernel.revision.objects;
      throw invalidateOtherErrno.because("the object has no cache");
    }
    object.cacheInvalidate(array);
  });
}

/** Nested HWPTs and virtual IOMMUs. */
function hasCache(
  object: IommufdObject,
): object is IommufdObject & { cacheInvalidate(array: UserDataArray): void } {
  return "cacheInvalidate" in object;
}
