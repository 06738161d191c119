// SPDX-License-Identifier: GPL-2.0-only

/**
 * Mapping and unmapping: requests of any length go to the driver's page table
 * as they are, or become calls for as many pages of one size as possible each.
 *
 * @module
 */

import { type Iova, plus } from "../lib/brands.ts";
import { EINVAL, ENODEV } from "../uapi/errno.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import { KernelBug } from "../kernel/warn.ts";
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

/** The general form of {@link Domain.mapRange} (Linux: __iommu_map_domain_pgtbl). */
export function mapByPages(
  domain: Domain,
  iova: Iova,
  paddr: number,
  size: number,
  prot: number,
): void {
  const smallest = smallestPage(domain);
  if (smallest === 0) {
    throw ENODEV.because("the domain has no page sizes (pgsizeBitmap)");
  }
  if (!isAligned(smallest, iova, paddr, size)) {
    throw EINVAL.because("a map is not aligned to the domain's smallest page");
  }

  let done = 0;
  try {
    while (done < size) {
      done += mapPiece(
        domain,
        plus(iova, done),
        paddr + done,
        size - done,
        prot,
      );
    }
  } catch (error) {
    unmapByPages(domain, iova, done);
    throw error;
  }
}

/** The general form of {@link Domain.mapSmall} (Linux: batch_iommu_map_small). */
export function mapPageByPage(
  domain: Domain,
  iova: Iova,
  paddr: number,
  size: number,
  prot: number,
): void {
  let done = 0;
  try {
    for (; done < size; done += PAGE_SIZE) {
      iommuMap(domain, plus(iova, done), paddr + done, PAGE_SIZE, prot);
    }
  } catch (error) {
    iommuUnmap(domain, iova, done);
    throw error;
  }
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

/** The general form of {@link Domain.unmapRange} (Linux: __iommu_unmap_domain_pgtbl). */
export function unmapByPages(
  domain: Domain,
  iova: Iova,
  size: number,
): number {
  const smallest = smallestPage(domain);
  if (smallest === 0 || !isAligned(smallest, iova, 0, size)) return 0;

  const { pageSizes } = domain;
  let done = 0;
  while (done < size) {
    const at = plus(iova, done);
    const index = pageSizeIndex(pageSizes, at, at, size - done);
    const count = pageCount(pageSizes, index, at, at, size - done);
    const unmapped = domain.unmapPages(at, pageSizes[index]!, count);
    if (unmapped === 0) break;
    done += unmapped;
  }
  return done;
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

/** One call to the driver, for as much as pages of one size can take. Returns the bytes mapped. */
function mapPiece(
  domain: Domain,
  iova: Iova,
  paddr: number,
  size: number,
  prot: number,
): number {
  const { pageSizes } = domain;
  const index = pageSizeIndex(pageSizes, iova, paddr, size);
  const count = pageCount(pageSizes, index, iova, paddr, size);
  const mapped = domain.mapPages(iova, paddr, pageSizes[index]!, count, prot);
  if (mapped === 0) {
    throw new KernelBug("An IOMMU driver mapped nothing without failing");
  }
  return mapped;
}

/**
 * The largest page size that fits the alignment of both addresses and the
 * length. With pageCount() this is Linux's iommu_pgsize.
 */
function pageSizeIndex(
  sizes: readonly number[],
  iova: number,
  paddr: number,
  size: number,
): number {
  let index = sizes.length - 1;
  for (; index > 0; index--) {
    const pgsize = sizes[index]!;
    const aligned = iova % pgsize === 0 && paddr % pgsize === 0;
    if (pgsize <= size && aligned) break;
  }
  return index;
}

/** How many pages of that size: up to where a larger one fits, if one does. */
function pageCount(
  sizes: readonly number[],
  index: number,
  iova: number,
  paddr: number,
  size: number,
): number {
  const pgsize = sizes[index]!;
  const larger = sizes[index + 1];
  if (larger === undefined || iova % larger !== paddr % larger) {
    return Math.floor(size / pgsize);
  }
  const toLarger = larger - iova % larger;
  const until = toLarger + larger <= size ? toLarger : size;
  return Math.floor(until / pgsize);
}

/** The domain's smallest page in bytes; 0, with a warning, when its driver has set none. */
function smallestPage(domain: Domain): number {
  const smallest = domain.pageSizes[0] ?? 0;
  domain.warnings.on(smallest === 0, "A paging domain has no page sizes");
  return smallest;
}

/**
 * Whether all are multiples of a page size. That is at most 2^30 bytes, so the
 * low 32 bits decide, which is what bitwise operators take of a number.
 */
function isAligned(
  pgsize: number,
  iova: number,
  paddr: number,
  size: number,
): boolean {
  return ((iova | paddr | size) & (pgsize - 1)) === 0;
}
