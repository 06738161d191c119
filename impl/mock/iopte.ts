// SPDX-License-Identifier: GPL-2.0-only

/**
 * The entries of the mock IOMMU's page table.
 *
 * An IOPTE is a 32-bit number per 2 KiB of IOVA:
 *
 * | bits | meaning                                                         |
 * | ---- | --------------------------------------------------------------- |
 * | 0-26 | physical address / 2048                                         |
 * | 27   | present                                                         |
 * | 28   | the first or last entry of a call to mapPages(): one bit for both |
 * | 29   | written by a device, where a domain tracks that                 |
 * | 30   | part of a 1 MiB page                                            |
 *
 * Linux packs the same into a 64-bit xarray value. Here bit 31 stays clear so
 * that the compiler can treat entries as plain integers.
 *
 * @module
 */

import { MOCK_IO_PAGE_SIZE } from "../uapi/selftest.ts";

/** Bits of the physical address / 2048. */
export const PTE_PFN_MASK: number = 2 ** 27 - 1;
/** Bytes of physical memory that an entry can point into. */
export const MOCK_MEMORY_MAX: number = (PTE_PFN_MASK + 1) * MOCK_IO_PAGE_SIZE;
/** Set in every entry, so that none is 0 (no counterpart in Linux). */
export const PTE_PRESENT: number = 1 << 27;
/** Linux: MOCK_PFN_START_IOVA and MOCK_PFN_LAST_IOVA. */
export const PTE_START_OR_LAST: number = 1 << 28;
/** Linux: MOCK_PFN_DIRTY_IOVA. */
export const PTE_DIRTY: number = 1 << 29;
/** Linux: MOCK_PFN_HUGE_IOVA. */
export const PTE_HUGE: number = 1 << 30;
