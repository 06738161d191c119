// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the IO page tables of HWPTs map.
 *
 * @module
 */

import type { IoPage } from "../iommu/page_table/page_table.ts";
import { HwPagetable } from "../iommufd/hwpt/hw_pagetable.ts";
import type { IommufdObject } from "../iommufd/objects/object.ts";

/** IO pages of one size that follow each other, in memory too. */
export interface IoPageRun {
  /** First IOVA. */
  readonly iova: number;
  /** First address in memory. */
  readonly paddr: number;
  /** Bytes of each. */
  readonly size: number;
  /** How many there are. */
  count: number;
  /** Devices wrote to them, as far as the page table notes that. */
  readonly isDirty: boolean;
}

/** An IO page table. */
export interface PageTableSnapshot {
  /** The id of its HWPT. */
  readonly hwpt: number;
  /** The id of its IOAS. */
  readonly ioas: number;
  /** What it maps, in the order of IOVA. */
  readonly runs: readonly IoPageRun[];
}

/** The page tables of all HWPTs that have one of their own. */
export function pageTablesOf(
  objects: readonly IommufdObject[],
): PageTableSnapshot[] {
  return objects.flatMap((object) =>
    object instanceof HwPagetable && object.domain.type === "paging"
      ? {
        hwpt: object.id,
        ioas: object.paging.ioas.id,
        runs: ioPageRuns(object.domain.ioPages()),
      }
      : []
  );
}

function ioPageRuns(pages: readonly IoPage[]): IoPageRun[] {
  const runs: IoPageRun[] = [];
  for (const { iova, paddr, size, isDirty } of pages) {
    const last = runs.at(-1);
    const goesOn = last !== undefined &&
      last.size === size && last.isDirty === isDirty &&
      last.iova + last.count * size === iova &&
      last.paddr + last.count * size === paddr;
    if (goesOn) last.count++;
    else runs.push({ iova, paddr, size, count: 1, isDirty });
  }
  return runs;
}
