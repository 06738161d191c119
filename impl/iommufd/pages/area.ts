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

/** What of some pages an area maps. */
export interface Slice {
  /** First byte within the pages. */
  readonly startByte: bigint;
  /** Bytes. */
  readonly length: bigint;
}

/**
 * A range of IOVA that maps a slice of `pages`. It is an interval of page
 * indexes, which is in `IoptPages.domainsTree` while a domain holds them
 * (Linux: iopt_area.pages_node); where it is in IOVA is in its row of
 * `IoPagetable.areas`. There may be very many, so an area has nothing that it
 * can do without.
 *
 * Invariants: `pages` is null while the area is being set up or torn down;
 * no domain holds such an area unless this call put it there.
 * `storageDomain` is set exactly while the area is in the pages' domainsTree.
 */
export class IoptArea extends IntervalNode<PageIndex> {
  /** The IO page table that the area belongs to. */
  readonly iopt: IoPagetable;
  /** Its row there, for that. */
  row = 0;
  /** What it maps; null while it is being set up or torn down. */
  pages: IoptPages | null = null;
  /** Bytes into its first page at which the area starts. */
  readonly pageOffset: number;
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

  /** An area over a slice of pages, which is not in the IO page table yet. */
  constructor(iopt: IoPagetable, { startByte, length }: Slice, prot: number) {
    super(indexOf(startByte), indexOf(startByte + length - 1n));
    this.iopt = iopt;
    this.prot = prot;
    this.pageOffset = Number(startByte & PAGE_MASK);
  }

  /** Index of the first page within the pages (Linux: iopt_area_index). */
  get index(): PageIndex {
    return this.start;
  }

  /** Index of the last page, inclusive (Linux: iopt_area_last_index). */
  get lastIndex(): PageIndex {
    return this.last;
  }

  /** First IOVA (Linux: iopt_area_iova). */
  get iova(): bigint {
    return this.iopt.areas.startOf(this.row);
  }

  /** Last IOVA, inclusive (Linux: iopt_area_last_iova). */
  get lastIova(): bigint {
    return this.iopt.areas.lastOf(this.row);
  }

  /** Length in bytes (Linux: iopt_area_length). */
  get length(): bigint {
    return this.lastIova - this.iova + 1n;
  }

  /** The low bits of where it starts and ends, OR'ed: all that an alignment up to a page looks at. */
  get alignmentBits(): number {
    return this.iopt.areas.alignmentBits(this.row) | this.pageOffset;
  }

  /** Byte offset within the pages of what `iova` maps (Linux: iopt_area_start_byte). */
  startByte(iova: bigint): bigint {
    const first = this.iova;
    this.iopt.kernel.warnings.on(
      iova < first || iova > this.lastIova,
      "iopt_area_start_byte: IOVA outside the area",
    );
    return iova - first + BigInt(this.pageOffset) +
      (BigInt(this.index) << BigInt(PAGE_SHIFT));
  }

  /** Index of the page that `iova` maps (Linux: iopt_area_iova_to_index). */
  iovaToIndex(iova: bigint): PageIndex {
    return indexOf(this.startByte(iova));
  }

  /**
   * IOVA of the first byte that page `index` maps, as a number, for an area
   * that is in a domain: its granules have 2 KiB or more (Linux:
   * iopt_area_index_to_iova).
   */
  indexToIova(index: PageIndex): Iova {
    const iova = this.iopt.areas.startNumber(this.row) as Iova;
    if (index === this.index) return iova;
    const bytes = (index - this.index) * PAGE_SIZE;
    return plus(iova, bytes - this.pageOffset);
  }

  /**
   * IOVA after the last byte that page `index` maps, as a number; 2^64 at the
   * end of the IOVA space (Linux: iopt_area_index_to_iova_last, plus one).
   */
  indexToIovaEnd(index: PageIndex): Iova {
    return index === this.lastIndex
      ? this.iopt.areas.endNumber(this.row) as Iova
      : this.indexToIova(plus(index, 1));
  }
}

/** The page that a byte of some pages lies in. */
export function indexOf(byte: bigint): PageIndex {
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
    const last = this.area!.lastIova;
    return last < this.#lastIova ? last : this.#lastIova;
  }

  /** Goes on from the current area, which there is, to the one that starts right after it. */
  next(): void {
    const area = this.area!;
    if (this.done) {
      this.area = undefined;
      return;
    }
    this.curIova = area.lastIova + 1n;
    const next = this.#iopt.areas.after(area);
    this.#visit(next?.iova === this.curIova ? next : undefined);
  }

  #visit(area: IoptArea | undefined): void {
    this.area = area?.pages ? area : undefined;
    this.done = this.area !== undefined &&
      this.#lastIova <= this.area.lastIova;
  }
}
