// SPDX-License-Identifier: GPL-2.0-only

/**
 * The alignment that an IO page table demands: the largest of what its
 * domains, its accesses and the large-pages option need. Linux:
 * io_pagetable.c, iopt_calculate_iova_alignment and its callers.
 *
 * @module
 */

import { lowestBit } from "../../lib/u64.ts";
import { XarrayNodes } from "../../lib/xarray_nodes.ts";
import { EADDRINUSE, EBUSY, EINVAL } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import type { IoPagetable, IoptAccess } from "./io_pagetable.ts";

/** Access ids have 16 bits (Linux: xa_limit_16b). */
const MAX_ACCESS_ID = 0xffff;

/** The smallest page size in a page size bitmap, bytes. */
export function smallestPageSize(pgsizeBitmap: bigint): number {
  return Number(lowestBit(pgsizeBitmap));
}

/** Throws EADDRINUSE unless all areas conform to an alignment (Linux: iopt_check_iova_alignment). */
export function checkIovaAlignment(
  iopt: IoPagetable,
  alignment: number,
): void {
  const mask = alignment - 1;
  for (const area of iopt.areas) {
    if ((area.alignmentBits | area.pageOffset) & mask) throw EADDRINUSE;
  }
}

/** Adopts the alignment that is needed now. Throws EADDRINUSE if it rises and an area is in the way. */
export function calculateIovaAlignment(iopt: IoPagetable): void {
  // See mapSmall() in pfn_batch.ts.
  let alignment = iopt.disableLargePages ? PAGE_SIZE : 1;
  for (const domain of iopt.domains) {
    alignment = Math.max(alignment, smallestPageSize(domain.pgsizeBitmap));
  }
  for (const access of iopt.accesses) {
    if (access) alignment = Math.max(alignment, access.iovaAlignment);
  }
  if (alignment > iopt.iovaAlignment) checkIovaAlignment(iopt, alignment);
  iopt.iovaAlignment = alignment;
}

/**
 * Adds a user of the table and returns its id, the lowest free one. Throws
 * EADDRINUSE if an area does not conform to the access's alignment, EBUSY with
 * 65,536 accesses. Linux: iopt_add_access.
 */
export function registerAccess(iopt: IoPagetable, access: IoptAccess): number {
  const { accesses, kernel } = iopt;
  const free = accesses.indexOf(undefined);
  const id = free < 0 ? accesses.length : free;
  if (id > MAX_ACCESS_ID) throw EBUSY;
  kernel.allocNodes(
    () => XarrayNodes.of(accesses.keys().filter((key) => accesses[key])),
    id,
    id,
  );
  iopt.accesses[id] = access;
  try {
    calculateIovaAlignment(iopt);
  } catch (error) {
    iopt.accesses[id] = undefined;
    throw error;
  }
  return id;
}

/** Removes a user of the table (Linux: iopt_remove_access). */
export function unregisterAccess(
  iopt: IoPagetable,
  access: IoptAccess,
  id: number,
): void {
  iopt.kernel.warnings.on(
    iopt.accesses[id] !== access,
    "iopt_remove_access: another access has the id",
  );
  iopt.accesses[id] = undefined;
  recalculateNofail(iopt);
}

/** Lets contiguous pages be mapped in one piece again (Linux: iopt_enable_large_pages). */
export function enableLargePages(iopt: IoPagetable): void {
  iopt.disableLargePages = false;
  recalculateNofail(iopt);
}

/**
 * Maps every page on its own from now on. Throws EINVAL if a domain has areas
 * mapped already, EADDRINUSE if an area is not page aligned; nothing happens
 * where it is off already. Linux: iopt_disable_large_pages.
 */
export function disableLargePages(iopt: IoPagetable): void {
  if (iopt.disableLargePages) return;
  if (iopt.domains.length > 0 && !iopt.areas.isEmpty) throw EINVAL;
  iopt.disableLargePages = true;
  try {
    calculateIovaAlignment(iopt);
  } catch (error) {
    iopt.disableLargePages = false;
    throw error;
  }
}

/** Recalculates after a need went away: the alignment can only fall. */
export function recalculateNofail(iopt: IoPagetable): void {
  try {
    calculateIovaAlignment(iopt);
  } catch (error) {
    if (error !== EADDRINUSE) throw error;
    iopt.kernel.warnings.on(true, "iopt_calculate_iova_alignment failed");
  }
}
