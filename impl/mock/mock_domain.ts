// SPDX-License-Identifier: GPL-2.0-only

/**
 * The mock IOMMU's domains and page table.
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

import type { Device } from "../iommu/device.ts";
import { Domain } from "../iommu/domain.ts";
import { KernelBug } from "../kernel/warn.ts";
import { LEAF_SIZE, SparseUint32Array } from "../lib/sparse_array.ts";
import { ENOENT } from "../uapi/errno.ts";
import {
  MOCK_APERTURE_LAST,
  MOCK_APERTURE_START,
  MOCK_HUGE_PAGE_SIZE,
  MOCK_IO_PAGE_SIZE,
} from "../uapi/iommufd_test.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import type { MockIommuOps } from "./mock_device.ts";

const PTE_PFN_MASK = 2 ** 27 - 1;
const PTE_PRESENT = 1 << 27;
const PTE_START_OR_LAST = 1 << 28;
const PTE_HUGE = 1 << 30;

/** log2 of the mock's frames in a CPU page. */
const FRAME_SHIFT = Math.log2(PAGE_SIZE / MOCK_IO_PAGE_SIZE);
/** Entries from one CPU page to the next. */
const PAGE_ENTRIES: number = PAGE_SIZE / MOCK_IO_PAGE_SIZE;

/** The domain that blocks all DMA of mock devices (Linux: mock_blocking_domain). */
export class MockBlockedDomain extends Domain {
  /** It lets nothing through. */
  override readonly type = "blocked";

  /** Always succeeds. */
  override attachDev(_dev: Device): void {}
}

/** A paging domain of the mock (Linux: struct mock_iommu_domain). */
export class MockDomain extends Domain {
  /** Its user maps into it. */
  override readonly type = "paging";
  readonly #ops: MockIommuOps;
  readonly #huge: boolean;
  readonly #ptes = new SparseUint32Array();

  /** An empty domain of the driver `owner`, with 1 MiB pages too if `huge`. It needs no device. */
  constructor(options: { owner: MockIommuOps; huge?: boolean }) {
    const { owner, huge = false } = options;
    super({
      owner,
      pgsizeBitmap: BigInt(
        MOCK_IO_PAGE_SIZE | (huge ? MOCK_HUGE_PAGE_SIZE : 0),
      ),
      apertureStart: BigInt(MOCK_APERTURE_START),
      apertureEnd: BigInt(MOCK_APERTURE_LAST),
    });
    this.#ops = owner;
    this.#huge = huge;
  }

  /** Entries that are present: one for each 2 KiB that is mapped. */
  get entries(): number {
    return this.#ptes.count;
  }

  /** Always succeeds. */
  override attachDev(_dev: Device): void {}

  /**
   * Stores one entry for each 2 KiB. Warns where something was mapped.
   * Throws ENOENT when fault injection says so. (Linux: mock_domain_map_pages.)
   */
  override mapPages(
    iova: number,
    paddr: number,
    pgsize: number,
    pgcount: number,
    _prot: number,
  ): number {
    const { kernel } = this.#ops.iommu;
    if (kernel.shouldFail()) throw ENOENT;
    const first = this.#entryOf(iova, pgsize);
    const count = this.#entryCount(pgsize, pgcount);
    const frame = Math.floor(paddr / MOCK_IO_PAGE_SIZE);
    if (frame + count - 1 > PTE_PFN_MASK) {
      throw new KernelBug("Physical memory is too large for a mock IOPTE");
    }
    const flags = PTE_PRESENT | (pgsize === MOCK_IO_PAGE_SIZE ? 0 : PTE_HUGE);
    const ptes = this.#ptes;
    const present = ptes.fillIncreasing(first, count, flags + frame, 1);
    ptes.set(first, ptes.get(first) | PTE_START_OR_LAST);
    ptes.set(
      first + count - 1,
      ptes.get(first + count - 1) | PTE_START_OR_LAST,
    );
    if (present > 0) this.#warn(iova, `is mapped over ${present} entries`);
    return pgsize * pgcount;
  }

  /**
   * Clears one entry for each 2 KiB. Warns when it does not begin and end
   * where maps did, and in some revisions when entries are missing.
   * (Linux: mock_domain_unmap_pages.)
   */
  override unmapPages(iova: number, pgsize: number, pgcount: number): number {
    const first = this.#entryOf(iova, pgsize);
    const last = first + this.#entryCount(pgsize, pgcount) - 1;
    const { revision } = this.#ops.iommu.kernel;
    const tolerates = revision.mockUnmapToleratesMissing;
    const ptes = this.#ptes;
    if (!this.#huge) {
      const bounded = isBound(ptes.get(first), tolerates) &&
        isBound(ptes.get(last), tolerates);
      if (!bounded) this.#warn(iova, "is unmapped in the middle of a map");
    }
    const missing = last - first + 1 - ptes.clearRange(first, last);
    if (missing > 0 && !tolerates) {
      this.#warn(iova, `is unmapped with ${missing} entries missing`);
    }
    return pgsize * pgcount;
  }

  /** The physical address of a mapped 2 KiB. Warns when it is not mapped. (Linux: mock_domain_iova_to_phys.) */
  override iovaToPhys(iova: number): number {
    const pte = this.#ptes.get(this.#entryOf(iova, MOCK_IO_PAGE_SIZE));
    if (pte === 0) this.#warn(iova, "is looked up but not mapped");
    return (pte & PTE_PFN_MASK) * MOCK_IO_PAGE_SIZE;
  }

  /** The physical address of the 2 KiB with a number, that is IOVA / 2048; undefined when not mapped. For checks: never warns. */
  lookup(index: number): number | undefined {
    const pte = this.#ptes.get(index);
    return pte === 0 ? undefined : (pte & PTE_PFN_MASK) * MOCK_IO_PAGE_SIZE;
  }

  /** The frames of consecutive pages, from every second entry. Warns when one is not mapped. */
  override readPfns(
    iova: number,
    npages: number,
    out: Int32Array,
    at: number,
  ): void {
    let index = this.#entryOf(iova, MOCK_IO_PAGE_SIZE);
    let missing = 0;
    for (let done = 0; done < npages;) {
      const from = index % LEAF_SIZE;
      const inLeaf = Math.ceil((LEAF_SIZE - from) / PAGE_ENTRIES);
      const count = Math.min(npages - done, inLeaf);
      const leaf = this.#ptes.leaf(index);
      missing += leaf === undefined
        ? readNothing(count, out, at + done)
        : readLeaf(leaf, from, count, out, at + done);
      done += count;
      index += count * PAGE_ENTRIES;
    }
    if (missing > 0) this.#warn(iova, `is read with ${missing} pages missing`);
  }

  /** Warns unless it is empty (Linux: mock_domain_free). */
  override free(): void {
    this.warnings.on(
      !this.#ptes.isEmpty,
      `A mock domain is freed with ${this.#ptes.count} entries`,
    );
  }

  /** The index of an IOVA's entry. Warns when an address or size is not a multiple of 2 KiB. */
  #entryOf(iova: number, pgsize: number): number {
    if (((iova | pgsize) & (MOCK_IO_PAGE_SIZE - 1)) !== 0) {
      this.#warn(iova, `or page size ${pgsize} is not aligned`);
    }
    return Math.floor(iova / MOCK_IO_PAGE_SIZE);
  }

  /** Composes the text only when there is something to say: these checks run once per call. */
  #warn(iova: number, what: string): void {
    const text = `Mock IOVA 0x${iova.toString(16)} ${what}`;
    this.warnings.on(true, text);
  }

  #entryCount(pgsize: number, pgcount: number): number {
    return Math.floor(pgsize / MOCK_IO_PAGE_SIZE) * pgcount;
  }
}

/** Whether an entry may be the first or last one of an unmap. */
function isBound(pte: number, toleratesMissing: boolean): boolean {
  if (pte === 0) return toleratesMissing;
  return (pte & PTE_START_OR_LAST) !== 0;
}

/** Reads the frames of `count` pages of one leaf; returns how many are missing. */
function readLeaf(
  leaf: Uint32Array,
  from: number,
  count: number,
  out: Int32Array,
  at: number,
): number {
  let missing = 0;
  for (let i = from, to = at; to < at + count; i += PAGE_ENTRIES, to++) {
    const pte = leaf[i]!;
    if (pte === 0) missing++;
    out[to] = (pte & PTE_PFN_MASK) >> FRAME_SHIFT;
  }
  return missing;
}

/** Where there is no leaf all pages are missing. */
function readNothing(count: number, out: Int32Array, at: number): number {
  out.fill(0, at, at + count);
  return count;
}
