// SPDX-License-Identifier: GPL-2.0-only

/**
 * Mapping and unmapping: requests of any length go to the domain's page table.
 *
 * @module
 */

import type { Iova } from "../lib/brands.ts";
import { EINVAL } from "../uapi/errno.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import type { Domain } from "./domain.ts";

/**
 * Maps `size` bytes of contiguous physical memory from `paddr` on at `iova`.
 * All three are exact as numbers if they are multiples of 2 KiB. `prot` is `IOMMU_*` bits. Throws EINVAL when the domain does not page or
 * something is not aligned to its smallest page, ENODEV (with a warning) when
 * the driver cannot map, and what the driver throws; nothing is mapped then.
 * (Linux: iommu_map.)
 */
export function iommuMap(
  domain: Domain,
  iova: Iova,
  paddr: number,
  size: number,
  prot: number,
): void {
  if (domain.type !== "paging") throw EINVAL;
  domain.mapRange(iova, paddr, size, prot);
}

/**
 * Unmaps up to `size` bytes at `iova` and returns how many were unmapped:
 * fewer when the driver finds nothing, 0 when the domain does not page or
 * something is not aligned to its smallest page. (Linux: iommu_unmap.)
 */
export function iommuUnmap(
  domain: Domain,
  iova: Iova,
  size: number,
): number {
  return domain.type === "paging" ? domain.unmapRange(iova, size) : 0;
}

/**
 * The physical address of the byte behind an IOVA, 0 when not mapped. Any byte
 * counts, so the IOVA is a bigint, which is exact; the driver is asked for the
 * page that it lies in. (Linux: iommu_iova_to_phys.)
 */
export function iommuIovaToPhys(domain: Domain, iova: bigint): number {
  if (domain.type === "blocked") return 0;
  if (domain.type === "identity") return Number(iova);
  const offset = iova & BigInt((domain.pageSizes[0] ?? PAGE_SIZE) - 1);
  const page = domain.iovaToPhys(Number(iova - offset) as Iova);
  return page === 0 ? 0 : page + Number(offset);
}
