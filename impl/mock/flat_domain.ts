// SPDX-License-Identifier: GPL-2.0-only

/**
 * The page table that the mock IOMMU had before 6.19: a sparse array with one
 * entry per 2 KiB of IOVA, see iopte.ts.
 *
 * @module
 */

import type { DirtyBitmap } from "../iommu/dirty.ts";
import type { IoPage } from "../iommu/page_table/page_table.ts";
import type { FrameRuns } from "../kernel/interfaces/physical_memory.ts";
import { type Iova, plus } from "../lib/brands.ts";
import { LEAF_SIZE, SparseUint32Array } from "../lib/sparse_array.ts";
import { XarrayNodes } from "../lib/xarray_nodes.ts";
import { EINVAL } from "../uapi/errno.ts";
import { U64_MAX } from "../lib/u64.ts";
import {
  MOCK_APERTURE_LAST,
  MOCK_APERTURE_START,
  MOCK_HUGE_PAGE_SIZE,
  MOCK_IO_PAGE_SIZE,
} from "../uapi/selftest.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import {
  PTE_DIRTY,
  PTE_HUGE,
  PTE_PFN_MASK,
  PTE_PRESENT,
  PTE_START_OR_LAST,
} from "./iopte.ts";
import { collectDirty, markDirty } from "./flat_dirty.ts";
import {
  type DirtyPages,
  MockDomain,
  type MockDomainOptions,
} from "./mock_domain.ts";

/** log2 of the mock's frames in a CPU page. */
const FRAME_SHIFT = Math.log2(PAGE_SIZE / MOCK_IO_PAGE_SIZE);
/** Entries from one CPU page to the next. */
const PAGE_ENTRIES: number = PAGE_SIZE / MOCK_IO_PAGE_SIZE;
/** What is read where the table has no leaf. */
const NO_ENTRIES = new Uint32Array(LEAF_SIZE);

/** A paging domain of the mock with a flat table; if `huge`, it has 1 MiB pages too. */
export class FlatMockDomain extends MockDomain {
  readonly #huge: boolean;
  readonly #ptes = new SparseUint32Array();

  /** An empty domain. It needs no device. */
  constructor(options: MockDomainOptions) {
    const { huge = false } = options;
    super(options, {
      pgsizeBitmap: BigInt(
        MOCK_IO_PAGE_SIZE | (huge ? MOCK_HUGE_PAGE_SIZE : 0),
      ),
      apertureStart: BigInt(MOCK_APERTURE_START),
      apertureEnd: BigInt(MOCK_APERTURE_LAST),
    });
    this.#huge = huge;
  }

  /** Entries that are present: one for each 2 KiB that is mapped. */
  get entries(): number {
    return this.#ptes.count;
  }

  override get mappedBytes(): number {
    return this.entries * MOCK_IO_PAGE_SIZE;
  }

  /** With pages of one size, any range is one call. */
  override mapRange(
    iova: Iova,
    paddr: number,
    size: number,
    prot: number,
  ): void {
    const isAligned = ((iova | paddr | size) & (MOCK_IO_PAGE_SIZE - 1)) === 0;
    if (this.#huge || !isAligned) {
      return super.mapRange(iova, paddr, size, prot);
    }
    const count = size / MOCK_IO_PAGE_SIZE;
    this.mapPages(iova, paddr, MOCK_IO_PAGE_SIZE, count, prot);
  }

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
    const { kernel } = this.owner.iommu;
    kernel.step("mock.map");
    const first = this.#entryOf(iova, pgsize);
    const count = this.#entryCount(pgsize, pgcount);
    const frame = Math.floor(paddr / MOCK_IO_PAGE_SIZE);
    kernel.allocNodes(
      () => XarrayNodes.ofArray(this.#ptes),
      first,
      first + count - 1,
    );
    const flags = PTE_PRESENT | (pgsize === MOCK_IO_PAGE_SIZE ? 0 : PTE_HUGE);
    const pte = flags + frame;
    const present = this.#ptes.fillRun(first, count, pte, PTE_START_OR_LAST);
    if (present > 0) this.#warn(iova, `is mapped over ${present} entries`);
    return pgsize * pgcount;
  }

  /**
   * As a call of {@link mapPages} for each run would, in one pass over the
   * entries: 5 times as fast where every run is a single page.
   */
  override mapRuns(
    iova: Iova,
    runs: FrameRuns,
    from: number,
    to: number,
    prot: number,
  ): Iova {
    const { kernel } = this.owner.iommu;
    // Each call can be made to fail, so that takes the calls.
    if (this.#huge || kernel.injectsFaults) {
      return super.mapRuns(iova, runs, from, to, prot);
    }
    let count = 0;
    for (let run = from; run < to; run++) count += runs.npfns[run]!;
    count *= PAGE_ENTRIES;
    const first = this.#entryOf(iova, MOCK_IO_PAGE_SIZE);
    const before = this.#ptes.count;
    const cursor = { run: from, done: 0 };
    for (let done = 0; done < count;) {
      const at = (first + done) % LEAF_SIZE;
      const inLeaf = Math.min(LEAF_SIZE - at, count - done);
      const leaf = this.#ptes.claim(first + done, inLeaf);
      fillRuns(leaf, at, at + inLeaf, runs, cursor);
      done += inLeaf;
    }
    const present = count - (this.#ptes.count - before);
    if (present > 0) this.#warn(iova, `is mapped over ${present} entries`);
    return plus(iova, count * MOCK_IO_PAGE_SIZE);
  }

  /**
   * Clears one entry for each 2 KiB. Warns when it does not begin and end
   * where maps did, and in some revisions when entries are missing.
   * (Linux: mock_domain_unmap_pages.)
   */
  override unmapPages(iova: number, pgsize: number, pgcount: number): number {
    const first = this.#entryOf(iova, pgsize);
    const last = first + this.#entryCount(pgsize, pgcount) - 1;
    const { revision } = this.owner.iommu.kernel;
    const tolerates = revision.mock.unmapToleratesMissing;
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

  override lookup(iova: number): number | undefined {
    const pte = this.#ptes.get(Math.floor(iova / MOCK_IO_PAGE_SIZE));
    return pte === 0 ? undefined : (pte & PTE_PFN_MASK) * MOCK_IO_PAGE_SIZE;
  }

  /** One for each entry, whether it is part of a larger page or not. */
  override ioPages(): readonly IoPage[] {
    const leaves = [...this.#ptes.presentBlocks(LEAF_SIZE)];
    return leaves.sort((a, b) => a - b).flatMap((number) => {
      const first = number * LEAF_SIZE;
      return Array.from(this.#ptes.leaf(first)!, (pte, i): IoPage => ({
        iova: (first + i) * MOCK_IO_PAGE_SIZE,
        paddr: pte === 0 ? -1 : (pte & PTE_PFN_MASK) * MOCK_IO_PAGE_SIZE,
        size: MOCK_IO_PAGE_SIZE,
        isDirty: (pte & PTE_DIRTY) !== 0,
      })).filter(({ paddr }) => paddr >= 0);
    });
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
      const leaf = this.#ptes.leaf(index) ?? NO_ENTRIES;
      missing += readLeaf(leaf, from, count, out, at + done);
      done += count;
      index += count * PAGE_ENTRIES;
    }
    if (missing > 0) this.#warn(iova, `is read with ${missing} pages missing`);
  }

  /**
   * Reports what {@link markDirty} marked, in pages of 2 KiB or 1 MiB. Throws
   * EINVAL if somebody wants to know while tracking is off. (Linux:
   * mock_domain_read_and_clear_dirty.)
   */
  override readAndClearDirty(
    iova: number,
    size: number,
    flags: number,
    dirty: DirtyBitmap,
  ): void {
    if (!this.tracksDirty && dirty.isRecording) throw EINVAL;
    const first = Math.floor(iova / MOCK_IO_PAGE_SIZE);
    const end = Math.ceil((iova + size) / MOCK_IO_PAGE_SIZE);
    collectDirty(this.#ptes, first, end, flags, dirty);
  }

  /**
   * Marks the entries with number `IOVA / pageSize`, which is that IOVA's own
   * entry only when the page size is the mock's. A range that goes past the
   * end of the IOVA space goes on at entry 0. Returns how many of them are
   * mapped and so were marked.
   */
  override markDirty({ iova, pageSize, count, bits }: DirtyPages): number {
    const untilWrap = Number((U64_MAX - iova) / pageSize + 1n);
    const before = Math.min(count, untilWrap);
    const ptes = this.#ptes;
    const marked = markDirty(ptes, Number(iova / pageSize), before, bits, 0);
    return marked + markDirty(ptes, 0, count - before, bits, before);
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

/** Fills part of a leaf with runs, from where `cursor` is; moves the cursor on. */
function fillRuns(
  leaf: Uint32Array,
  from: number,
  end: number,
  runs: FrameRuns,
  cursor: { run: number; done: number },
): void {
  const { pfns, npfns } = runs;
  let { run, done } = cursor;
  for (let at = from; at < end;) {
    if (npfns[run] === 1 && done === 0 && at + 1 < end) {
      // Scattered memory is nothing but these: both entries are edges.
      const pte = PTE_PRESENT | PTE_START_OR_LAST | (pfns[run]! << FRAME_SHIFT);
      leaf[at] = pte;
      leaf[at + 1] = pte + 1;
      at += PAGE_ENTRIES;
      run++;
      continue;
    }
    const length = npfns[run]! * PAGE_ENTRIES;
    const stop = Math.min(end, at + length - done);
    let pte = (PTE_PRESENT | (pfns[run]! << FRAME_SHIFT)) + done;
    for (let i = at; i < stop; i++) leaf[i] = pte++;
    if (done === 0) leaf[at]! |= PTE_START_OR_LAST;
    done += stop - at;
    if (done === length) {
      leaf[stop - 1]! |= PTE_START_OR_LAST;
      run++;
      done = 0;
    }
    at = stop;
  }
  cursor.run = run;
  cursor.done = done;
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
