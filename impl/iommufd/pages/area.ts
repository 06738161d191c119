// SPDX-License-Identifier: GPL-2.0-only

/**
 * Areas: ranges of IOVA backed by a slice of some pages.
 *
 * Linux: struct iopt_area and its helpers, io_pagetable.h.
 *
 * @module
 */

import { type Iova, type PageIndex, plus } from "../../lib/brands.ts";
import { IntervalNode } from "../../lib/interval_tree.ts";
import type { Domain } from "../../iommu/domain.ts";
import { PAGE_SHIFT, PAGE_SIZE } from "../../uapi/mman.ts";
import type { IoPagetable } from "../ioas/io_pagetable.ts";
import type { IoptPages } from "./pages.ts";

/** The bits of an offset within a page. */
const PAGE_MASK = BigInt(PAGE_SIZE - 1);

/**
 * The pages of an area as an interval of page indexes, last inclusive. It is
 * in `IoptPages.domainsTree` while a domain holds them.
 */
export class AreaSlice extends IntervalNode<PageIndex> {
  /** The area whose pages these are. */
  readonly area: IoptArea;

  /** The slice from page `start` to page `last`. */
  constructor(area: IoptArea, start: PageIndex, last: PageIndex) {
    super(start, last);
    this.area = area;
  }
}

/**
 * A range of IOVA, `start` to `last` inclusive, that maps a slice of
 * `pages`. It is a node of `IoPagetable.areas`.
 *
 * Invariants: `pages` is null while the area is being set up or torn down;
 * no domain holds such an area unless this call put it there.
 * `storageDomain` is set exactly while `slice` is in the pages' domainsTree.
 */
export class IoptArea extends IntervalNode<bigint> {
  /** The IO page table that the area belongs to. */
  readonly iopt: IoPagetable;
  /** What it maps; null while it is being set up or torn down. */
  pages: IoptPages | null = null;
  /** Index of the first page within the pages. */
  readonly index: PageIndex;
  /** Index of the last page, inclusive. */
  readonly lastIndex: PageIndex;
  /** Bytes into its first page at which the area starts. */
  readonly pageOffset: number;
  /** The low bits of start and length, OR'ed: all that an alignment up to a page looks at. */
  readonly alignmentBits: number;
  /** `IOMMU_READ`, `IOMMU_WRITE`, `IOMMU_CACHE`. */
  readonly prot: number;
  /** A domain whose IOPTEs stand for the list of frames, or null if none is filled. */
  storageDomain: Domain | null = null;
  /** Set by an unmap that waits for accesses to let go: no new ones may start. */
  preventAccess = false;
  /** Pins through accesses, each range pinned counts one. */
  numAccesses = 0;
  /** Those of them that keep it from being unmapped. */
  numLocks = 0;
  #slice: AreaSlice | undefined;
  /** Start and length as numbers: exact for an area in a domain, since its granules have 2 KiB or more. */
  readonly #iova: Iova;
  readonly #bytes: number;

  /** An area over `length` bytes of pages from byte `startByte` on. */
  constructor(
    iopt: IoPagetable,
    range: { start: bigint; last: bigint },
    startByte: bigint,
    prot: number,
  ) {
    super(range.start, range.last);
    this.iopt = iopt;
    this.prot = prot;
    const length = range.last - range.start + 1n;
    this.#iova = Number(range.start) as Iova;
    this.#bytes = Number(length);
    this.alignmentBits = Number((range.start | length) & PAGE_MASK);
    this.pageOffset = Number(startByte & PAGE_MASK);
    this.index = indexOf(startByte);
    this.lastIndex = indexOf(startByte + length - 1n);
  }

  /** The area's interval of page indexes. */
  get slice(): AreaSlice {
    return this.#slice ??= new AreaSlice(this, this.index, this.lastIndex);
  }

  /** Length in bytes. */
  get length(): bigint {
    return this.last - this.start + 1n;
  }

  /** Byte offset within the pages of what `iova` maps (Linux: iopt_area_start_byte). */
  startByte(iova: bigint): bigint {
    this.iopt.kernel.warnings.on(
      iova < this.start || iova > this.last,
      "iopt_area_start_byte: IOVA outside the area",
    );
    return iova - this.start + BigInt(this.pageOffset) +
      (BigInt(this.index) << BigInt(PAGE_SHIFT));
  }

  /** Index of the page that `iova` maps (Linux: iopt_area_iova_to_index). */
  iovaToIndex(iova: bigint): PageIndex {
    return indexOf(this.startByte(iova));
  }

  /**
   * IOVA of the first byte that page `index` maps, as a number, for an area
   * that is in a domain (Linux: iopt_area_index_to_iova).
   */
  indexToIova(index: PageIndex): Iova {
    if (index === this.index) return this.#iova;
    const bytes = (index - this.index) * PAGE_SIZE;
    return plus(this.#iova, bytes - this.pageOffset);
  }

  /**
   * IOVA after the last byte that page `index` maps, as a number; 2^64 at the
   * end of the IOVA space (Linux: iopt_area_index_to_iova_last, plus one).
   */
  indexToIovaEnd(index: PageIndex): Iova {
    if (index === this.lastIndex) return plus(this.#iova, this.#bytes);
    const bytes = (index - this.index + 1) * PAGE_SIZE;
    return plus(this.#iova, bytes - this.pageOffset);
  }
}

/** The page that a byte of some pages lies in. */
function indexOf(byte: bigint): PageIndex {
  return Number(byte >> BigInt(PAGE_SHIFT)) as PageIndex;
}

/**
 * Walks the areas that tile a range of IOVA without a gap. Linux:
 * iopt_for_each_contig_area.
 *
 * ```ts ignore
 * const iter = new ContigAreas(iopt, iova, lastIova);
 * for (; iter.area; iter.next()) …
 * if (!iter.done) throw ENOENT;
 * ```
 */
export class ContigAreas {
  /** The current area; undefined after the last one and at a gap. */
  area: IoptArea | undefined;
  /** First IOVA of the range that the current area maps. */
  curIova: bigint;
  /** Whether the areas seen reach the end of the range. */
  done = false;
  readonly #iopt: IoPagetable;
  readonly #lastIova: bigint;

  /** Starts at the area that maps `iova`; the range ends at `lastIova` inclusive. */
  constructor(iopt: IoPagetable, iova: bigint, lastIova: bigint) {
    this.#iopt = iopt;
    this.#lastIova = lastIova;
    this.curIova = iova;
    this.#visit(iopt.areas.first(iova, iova));
  }

  /** Last IOVA of the range that the current area maps, inclusive. */
  get curLast(): bigint {
    const last = this.area!.last;
    return last < this.#lastIova ? last : this.#lastIova;
  }

  /** Goes on from the current area, which there is, to the one that starts right after it. */
  next(): void {
    const area = this.area!;
    if (this.#lastIova <= area.last) {
      this.area = undefined;
      return;
    }
    this.curIova = area.last + 1n;
    const next = this.#iopt.areas.next(area, this.curIova, this.#lastIova);
    this.#visit(next?.start === this.curIova ? next : undefined);
  }

  #visit(area: IoptArea | undefined): void {
    this.area = area?.pages ? area : undefined;
    this.done = this.area !== undefined && this.#lastIova <= this.area.last;
  }
}
