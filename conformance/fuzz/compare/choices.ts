// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where what a program comes to depends on which frames the allocator of the
 * machine hands out: that is its choice.
 *
 * @module
 */

import {
  IOMMU_HWPT_ALLOC,
  IOMMU_IOAS_COPY,
  IOMMU_IOAS_MAP,
  IommuHwQueueAlloc,
} from "../../../impl/uapi/iommufd.ts";
import { PAGE_SHIFT } from "../../../impl/uapi/mman.ts";
import { IOMMU_TEST_CMD } from "../../../impl/uapi/selftest.ts";
import { VFIO_IOMMU_MAP_DMA } from "../../../impl/uapi/vfio.ts";
import { fields, type Here } from "./here.ts";

/** A queue in more than one page: its frames must be neighbours. */
export function needsNeighbours(here: Here): boolean {
  const { ioctl } = IommuHwQueueAlloc;
  if (here.command !== ioctl.number) return false;
  const { nestingParentIova: iova, length } = fields(here, IommuHwQueueAlloc);
  const shift = BigInt(PAGE_SHIFT);
  return iova >> shift !== iova + length - 1n >> shift;
}

/** Ioctls that may fill a domain. */
const FILLING: readonly number[] = [
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_COPY,
  IOMMU_HWPT_ALLOC,
  IOMMU_TEST_CMD,
  VFIO_IOMMU_MAP_DMA,
];

/** A domain of a flat page table is filled, in which each run of neighbouring frames is a step that may be made to fail. */
export function failsByRuns({ process, command, ctx }: Here): boolean {
  return ctx?.kernel.revision.mock.pageTable === "flat" &&
    process.faults.nth > 0 && FILLING.includes(command);
}
