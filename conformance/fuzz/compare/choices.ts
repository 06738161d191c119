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
import {
  AddressSpace,
  MMAP_MIN_ADDR,
} from "../../../impl/kernel/simulated/mappings/address_space.ts";
import { MREMAP_FIXED, PAGE_SHIFT } from "../../../impl/uapi/mman.ts";
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

/**
 * Memory moves that is not in one mapping, or to where nobody may map. What has
 * happened by the time that it fails is up to the kernel.
 */
export function movesSeveralMappings({ process, call }: Here): boolean {
  const { verb, args } = call;
  if (verb.name !== "mremap" || (Number(args[3]) & MREMAP_FIXED) === 0) {
    return false;
  }
  const [from, oldLength, , , to] = args.map(Number);
  const { mm } = process;
  if (!(mm instanceof AddressSpace)) return false;
  const vma = mm.vmas.lookup(from!);
  return vma === undefined || from! + oldLength! > vma.end ||
    to! < MMAP_MIN_ADDR;
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
