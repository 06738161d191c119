// SPDX-License-Identifier: GPL-2.0-only

/**
 * Mapping and unmapping: requests of any length become calls to the driver,
 * each for as many pages of one size as possible.
 *
 * @module
 */

import { EINVAL, ENODEV } from "../uapi/errno.ts";
import { KernelBug } from "../kernel/warn.ts";
import type { Domain } from "./domain.ts";

/**
 * Maps `size` bytes of contiguous physical memory from `paddr` on at `iova`.
 * `prot` is `IOMMU_*` bits. Throws EINVAL when the domain does not page or
 * something is not aligned to its smallest page, ENODEV (with a warning) when
 * the driver cannot map, and what the driver throws; nothing is mapped then.
 * (Linux: iommu_map.)
 */
export function iommuMap(
  domain: Domain,
  iova: bigint,
  paddr: number,
  size: bigint | number,
  prot: number,
): void {
  const bytes = byteCount(size);
  if (domain.type !== "paging") throw EINVAL;
  const smallest = smallestPage(domain);
  if (smallest === 0) throw ENODEV;
  if (!isAligned(iova, smallest, paddr, bytes)) throw EINVAL;

  let done = 0;
  try {
    while (done < bytes) {
      done += mapPiece(domain, iova, paddr, bytes, done, prot);
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
  iova: bigint,
  size: bigint | number,
): number {
  const bytes = byteCount(size);
  if (domain.type !== "paging") return 0;
  const smallest = smallestPage(domain);
  if (smallest === 0 || !isAligned(iova, smallest, 0, bytes)) return 0;

  const { pageSizes } = domain;
  const start = Number(iova);
  let done = 0;
  while (done < bytes) {
    const at = start + done;
    const index = pageSizeIndex(pageSizes, at, at, bytes - done);
    const count = pageCount(pageSizes, index, at, at, bytes - done);
    const pgsize = pageSizes[index]!;
    const unmapped = domain.unmapPages(advance(iova, done), pgsize, count);
    if (unmapped === 0) break;
    done += unmapped;
  }
  return done;
}

/** The physical address behind an IOVA, 0 when not mapped (Linux: iommu_iova_to_phys). */
export function iommuIovaToPhys(domain: Domain, iova: bigint): number {
  if (domain.type === "identity") return Number(iova);
  if (domain.type === "blocked") return 0;
  return domain.iovaToPhys(iova);
}

/** One call to the driver, for what is left after `done` bytes. Returns the bytes mapped. */
function mapPiece(
  domain: Domain,
  iova: bigint,
  paddr: number,
  bytes: number,
  done: number,
  prot: number,
): number {
  const { pageSizes } = domain;
  const at = Number(iova) + done;
  const from = paddr + done;
  const index = pageSizeIndex(pageSizes, at, from, bytes - done);
  const count = pageCount(pageSizes, index, at, from, bytes - done);
  const pgsize = pageSizes[index]!;
  const mapped = domain.mapPages(
    advance(iova, done),
    from,
    pgsize,
    count,
    prot,
  );
  if (mapped === 0) {
    throw new KernelBug("An IOMMU driver mapped nothing without failing");
  }
  return mapped;
}

/**
 * The largest page size that fits the alignment of both addresses and the
 * length. With pageCount() this is Linux's iommu_pgsize; aligned 64-bit
 * addresses are exact here because the smallest page has 2^11 bytes.
 */
function pageSizeIndex(
  sizes: readonly number[],
  iova: number,
  paddr: number,
  size: number,
): number {
  let index = sizes.length - 1;
  while (index > 0 && !fits(sizes[index]!, iova, paddr, size)) index--;
  return index;
}

function fits(
  pgsize: number,
  iova: number,
  paddr: number,
  size: number,
): boolean {
  return pgsize <= size && iova % pgsize === 0 && paddr % pgsize === 0;
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
  domain.owner.iommu.kernel.warnings.on(
    smallest === 0,
    "A paging domain has no page sizes",
  );
  return smallest;
}

/** A page size is at most 2^30 bytes, so that the low 32 bits decide. */
function isAligned(
  iova: bigint,
  pgsize: number,
  paddr: number,
  size: number,
): boolean {
  const low = Number(BigInt.asUintN(32, iova)) | paddr | size;
  return (low & (pgsize - 1)) === 0;
}

/** Avoids an addition where there is nothing to add: most calls are the only one of their request. */
function advance(iova: bigint, bytes: number): bigint {
  return bytes === 0 ? iova : iova + BigInt(bytes);
}

function byteCount(size: bigint | number): number {
  const bytes = Number(size);
  if (!Number.isSafeInteger(bytes) || bytes < 0) {
    throw new KernelBug(`A length of ${size} bytes cannot be mapped`);
  }
  return bytes;
}
