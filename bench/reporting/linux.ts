// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the same operations cost Linux, to compare with.
 *
 * Linux 6.12.117 with the selftests' mock driver, built as User-Mode Linux, so
 * that the C code runs natively: x86-64, one processor, no locks. The cost of
 * a system call of User-Mode Linux is taken off.
 *
 * @module
 */

/** Microseconds per call, by the name of the operation. */
export const LINUX_MICROSECONDS: Readonly<Record<string, number>> = {
  "IOAS_MAP, 4 KiB pages, 1 domain, 64 MiB": 650,
  "IOAS_UNMAP, 4 KiB pages, 1 domain, 64 MiB": 626,
  "IOAS_MAP, 4 KiB pages, 2 domains, 64 MiB": 1180,
  "IOAS_UNMAP, 4 KiB pages, 2 domains, 64 MiB": 1185,
  "VFIO_IOMMU_MAP_DMA (TYPE1v2), 64 MiB": 677,
  "VFIO_IOMMU_UNMAP_DMA (TYPE1v2), 64 MiB": 655,
  "MOCK_DOMAIN over one area, 64 MiB": 738,
  "IOAS_UNMAP of everything, no domain, 100,000 areas": 14866,
  "IOAS_UNMAP of everything, 1 domain, 100,000 areas": 38630,
  "MOCK_DOMAIN over 4 KiB each, 100,000 areas": 25337,
  "close of the fd with 4 KiB each, 100,000 areas": 9601,
};
