// SPDX-License-Identifier: GPL-2.0-only

/**
 * The page table of a driver that maps pages of one size a call, with what its
 * domain has of `mapPages()`, `unmapPages()`, `iovaToPhys()` and the rest: what
 * a domain is that brings no page table.
 *
 * @module
 */

import type { FrameRuns } from "../../kernel/interfaces/physical_memory.ts";
import { KernelBug } from "../../kernel/warn.ts";
import { type Iova, plus } from "../../lib/brands.ts";
import { addFrames, type FrameList } from "../../lib/frame_list.ts";
import { EINVAL, ENODEV } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import type { Domain } from "../domain.ts";
import { iommuMap, iommuUnmap } from "../map.ts";
import type { IoPage, IoPageTable } from "./page_table.ts";

/** Frames that are read at a time. */
const READ_CHUNK = 512;

/** See the module. */
export class ByPages implements IoPageTable {
  readonly #domain: Domain;

  /** What a domain does itself. */
  constructor(domain: Domain) {
    this.#domain = domain;
  }

  /** Calls for pages of one size each (Linux: __iommu_map_domain_pgtbl). */
  map(iova: Iova, paddr: number, size: number, prot: number): void {
    const domain = this.#domain;
    const smallest = smallestPage(domain);
    if (smallest === 0) {
      throw ENODEV.because("the domain has no page sizes (pgsizeBitmap)");
    }
    if (!isAligned(smallest, iova, paddr, size)) {
      throw EINVAL.because(
        "a map is not aligned to the domain's smallest page",
      );
    }

    let done = 0;
    try {
      while (done < size) {
        const at = plus(iova, done);
        done += mapPiece(domain, at, paddr + done, size - done, prot);
      }
    } catch (error) {
      this.unmap(iova, done);
      throw error;
    }
  }

  /** Maps one CPU page after the other (Linux: batch_iommu_map_small). */
  mapSmall(iova: Iova, paddr: number, size: number, prot: number): void {
    const domain = this.#domain;
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

  /** Maps one run after the other. */
  mapRuns(
    iova: Iova,
    runs: FrameRuns,
    from: number,
    to: number,
    prot: number,
  ): Iova {
    const domain = this.#domain;
    let next = iova;
    try {
      for (let run = from; run < to; run++) {
        const size = runs.npfns[run]! * PAGE_SIZE;
        iommuMap(domain, next, runs.pfns[run]! * PAGE_SIZE, size, prot);
        next = plus(next, size);
      }
    } catch (error) {
      iommuUnmap(domain, iova, next - iova);
      throw error;
    }
    return next;
  }

  /** Calls for pages of one size each (Linux: __iommu_unmap_domain_pgtbl). */
  unmap(iova: Iova, size: number): number {
    const domain = this.#domain;
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

  /** Nothing: a domain that maps overrides `iovaToPhys()`. */
  lookup(_iova: number): undefined {}

  /** Asks for the physical address, whatever the access. */
  translate(iova: number, _access: number): number | undefined {
    const [granule] = this.#domain.pageSizes;
    if (granule === undefined) return undefined;
    const offset = iova % granule;
    const paddr = this.#domain.iovaToPhys(iova - offset as Iova);
    return paddr === 0 ? undefined : paddr + offset;
  }

  /** Asks for the physical address of each page. */
  readPfns(iova: Iova, npages: number, out: Int32Array, at: number): void {
    for (let i = 0; i < npages; i++) {
      const paddr = this.#domain.iovaToPhys(plus(iova, i * PAGE_SIZE));
      out[at + i] = Math.trunc(paddr / PAGE_SIZE);
    }
  }

  /** Asks for the frame of each page. */
  readRuns(
    iova: Iova,
    npages: number,
    list: FrameList,
    maxRuns: number,
  ): number {
    const domain = this.#domain;
    const { tempBuffers } = domain.owner.iommu.kernel;
    const chunk = tempBuffers.take(READ_CHUNK);
    let done = 0;
    for (let count = 0; done < npages; done += count) {
      const left = Math.min(npages - done, READ_CHUNK);
      domain.readPfns(plus(iova, done * PAGE_SIZE), left, chunk, 0);
      count = addFrames(list, maxRuns, chunk, 0, left);
      if (count < left) {
        done += count;
        break;
      }
    }
    tempBuffers.give(chunk);
    return done;
  }

  /** Throws ENODEV: a domain that tracks writes overrides `readAndClearDirty()`. */
  readDirty(): never {
    const text = "A domain that tracks does not implement readAndClearDirty";
    this.#domain.warnings.on(true, text);
    throw ENODEV.because(
      "the domain cannot tell what was written (Domain.readAndClearDirty)",
    );
  }

  /** Nothing that can be told. */
  entries(): readonly IoPage[] {
    return [];
  }

  /** The domain's own affair. */
  free(): void {}
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
