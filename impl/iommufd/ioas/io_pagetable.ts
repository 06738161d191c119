// SPDX-License-Identifier: GPL-2.0-only

/**
 * The IO page table: which IOVA maps which pages, and the domains that hold a
 * copy of that.
 *
 * IOVA that no area covers is not mapped. All domains hold the same; pages are
 * pinned once for all of them. Linux: io_pagetable.c, struct io_pagetable. Its
 * locks are missing here because a system call runs to its end; where Linux
 * drops them, in front of a driver's unmap callback, everything may change
 * here too.
 *
 * @module
 */

import type { Domain } from "../../iommu/domain.ts";
import type { KernelCore } from "../../kernel/core.ts";
import { AreaTree } from "../../lib/area_tree.ts";
import { IdTable } from "../../lib/id_table.ts";
import { IntervalTree } from "../../lib/interval_tree.ts";
import { U64_MAX } from "../../lib/u64.ts";
import {
  EADDRINUSE,
  EBUSY,
  EDEADLOCK,
  EINVAL,
  ENOENT,
  EOVERFLOW,
  EPERM,
} from "../../uapi/errno.ts";
import { IOMMU_WRITE } from "../../iommu/domain.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import {
  ACCOUNT_MM,
  ACCOUNT_USER,
  type AccountMode,
} from "../pages/accounting.ts";
import { ContigAreas, IoptArea } from "../pages/area.ts";
import { fillDomains, unfillDomains } from "../pages/fill.ts";
import {
  allocIova,
  checkIova,
  lastIova,
  MISALIGNED_MEMORY,
} from "./iova_alloc.ts";
import {
  allocFilePages,
  allocUserPages,
  type FilePart,
} from "../pages/alloc_pages.ts";
import { Mapper } from "../pages/mapper.ts";
import type { IoptPages } from "../pages/pages.ts";
import { PagesList } from "../pages/pages_list.ts";
import { Unmapper } from "../pages/unmapper.ts";
import { type IoptAccess, notifyUnmap } from "./accesses.ts";
import { AlignmentNeeds } from "./alignment.ts";
import { NO_LENGTH } from "../objects/refusals.ts";
import { describeOwner, IoptRange, ReservedTree } from "./reserved.ts";

const LOCKED = EBUSY.because("hardware reads a queue in an area");

/** Rounds of asking accesses to let go of an area before giving up. */
const MAX_UNMAP_TRIES = 100;

/** How many bytes an unmap removed so far; right also when it throws. */
export interface UnmapResult {
  /** Bytes. */
  unmapped: bigint;
}

/** How new pages are mapped. */
export interface MapOptions {
  /** How the context charges them. */
  readonly accountMode: AccountMode;
  /** Where; undefined for where the kernel chooses. */
  readonly iova: bigint | undefined;
  /** `IOMMU_READ`, `IOMMU_WRITE`, `IOMMU_CACHE`. */
  readonly prot: number;
}

/** An IO page table. */
export class IoPagetable {
  /** The kernel that it lives in. */
  readonly kernel: KernelCore;
  /** Areas by IOVA; they never overlap. */
  readonly areas: AreaTree<IoptArea> = new AreaTree();
  /** The `alignmentBits` of all areas, OR'ed, and maybe of some that are gone. */
  areaBits = 0;
  /** Ranges that kernel-chosen IOVA keeps to; empty means everywhere. */
  allowed: IntervalTree<bigint, IoptRange> = new IntervalTree();
  /** Ranges that must not be mapped. */
  readonly reserved: ReservedTree = new ReservedTree();
  /**
   * For an alignment, the IOVA of the last search: below it `length` bytes
   * have no place. Forgotten when IOVA becomes free; see iova_alloc.ts.
   */
  readonly searched: Map<
    bigint,
    { readonly length: bigint; readonly iova: bigint }
  > = new Map();
  /** The domains that are filled. The first one is storage for new areas. */
  readonly domains: Domain[] = [];
  /** True if Linux's xarray would hold a domain that is the only one without a node: another one has left (xas_shrink). */
  domainInRoot = false;
  /** The place of each domain among them. */
  readonly domainIds: Map<Domain, number> = new Map();
  /** Accesses by id; ids have 16 bits (Linux: xa_limit_16b). */
  readonly accesses: IdTable<IoptAccess> = new IdTable({
    first: 0,
    max: 0xffff,
  });
  /** Whether every page is mapped on its own (VFIO type1 version 1). */
  disableLargePages = false;
  /** What its users need IOVA to be aligned to. */
  readonly alignment: AlignmentNeeds = new AlignmentNeeds();
  /** Who mapped last. */
  #lastMapper: Mapper | undefined;

  /** An empty table with the full IOVA space. */
  constructor(kernel: KernelCore) {
    this.kernel = kernel;
  }

  /** What IOVA, length and page offset must be a multiple of, bytes. */
  get iovaAlignment(): number {
    return this.alignment.largest;
  }

  /** Checks that nothing is left (Linux: iopt_destroy_table). */
  destroy(): void {
    const { warnings } = this.kernel;
    // What ADD_RESERVED of the selftests reserved has no owner.
    this.removeReservedIova(null);
    warnings.on(!this.reserved.isEmpty, "iopt_destroy_table: reserved IOVA");
    warnings.on(this.domains.length > 0, "iopt_destroy_table: domains left");
    warnings.on(!this.accesses.isEmpty, "iopt_destroy_table: accesses left");
    warnings.on(!this.areas.isEmpty, "iopt_destroy_table: areas left");
  }

  /**
   * Maps `length` bytes of the calling process's memory from `uptr` on; returns
   * the IOVA. Throws EINVAL, EOVERFLOW, ENOSPC, ENOMEM, EFAULT and the
   * revision's errnos for an occupied place. Linux: iopt_map_user_pages.
   */
  mapUserPages(uptr: bigint, length: bigint, how: MapOptions): bigint {
    const writable = (how.prot & IOMMU_WRITE) !== 0;
    const pages = allocUserPages(
      this.kernel,
      this.#mapper(),
      uptr,
      length,
      writable,
    );
    return this.#mapNew(pages, uptr, length, how);
  }

  /**
   * Maps a part of a file, or of a DMA buffer; returns the IOVA. Throws EBADF,
   * what the exporter of the buffer throws, and as `mapUserPages`. Linux:
   * iopt_map_file_pages.
   */
  mapFilePages(part: FilePart, how: MapOptions): bigint {
    const writable = (how.prot & IOMMU_WRITE) !== 0;
    const mapper = this.#mapper();
    const pages = allocFilePages(this.kernel, mapper, part, writable);
    return this.#mapNew(pages, part.start, part.length, how);
  }

  /** The calling process, as all know it that it maps in a row. */
  #mapper(): Mapper {
    const task = this.kernel.current!;
    if (!this.#lastMapper?.is(task)) {
      this.#lastMapper = new Mapper(this.kernel, task);
    }
    return this.#lastMapper;
  }

  /** Maps new pages from a byte of their source on (Linux: iopt_map_common). */
  #mapNew(
    pages: IoptPages,
    start: bigint,
    length: bigint,
    { accountMode, iova, prot }: MapOptions,
  ): bigint {
    if (accountMode === ACCOUNT_MM && pages.accountMode === ACCOUNT_USER) {
      pages.accountMode = ACCOUNT_MM;
    }
    const list = new PagesList();
    list.add(pages, start & BigInt(PAGE_SIZE - 1), length);
    try {
      return this.mapPages(list, length, iova, prot);
    } finally {
      list[Symbol.dispose]();
    }
  }

  /**
   * Maps the slices of `list`, together `length` bytes, at consecutive IOVA;
   * returns the first. On success the areas own the pages. Throws as
   * `mapUserPages`, and EPERM for writing read-only pages; the caller disposes
   * the list, which undoes everything. Linux: iopt_map_pages.
   */
  mapPages(
    list: PagesList,
    length: bigint,
    iova: bigint | undefined,
    prot: number,
  ): bigint {
    const start = this.#placeAreas(list, length, iova, prot);
    fillDomains(this, list.elements);
    for (const element of list.elements) {
      element.area!.pages = element.pages;
      element.pages = null;
      element.area = null;
    }
    return start;
  }

  /** Finds the place and inserts the areas, still without pages (Linux: iopt_alloc_area_pages). */
  #placeAreas(
    list: PagesList,
    length: bigint,
    fixedIova: bigint | undefined,
    prot: number,
  ): bigint {
    for (const _ of list.elements) this.kernel.step("area.alloc");
    if (length & BigInt(this.iovaAlignment - 1)) {
      throw EINVAL.because("the length is not as aligned as the IOAS demands");
    }
    let start = fixedIova;
    if (start === undefined) {
      // The first slice decides the alignment.
      const { pages, startByte } = list.elements[0]!;
      start = allocIova(
        this,
        BigInt.asUintN(64, pages!.start + startByte),
        length,
      );
    } else {
      checkIova(this, start, length);
    }
    let iova = start;
    for (const element of list.elements) {
      const { pages, startByte } = element;
      element.area = this.#insertArea(
        pages!,
        { iova, length: element.length },
        startByte,
        prot,
      );
      iova += element.length;
    }
    return start;
  }

  /** Linux: iopt_insert_area. Throws EPERM, EINVAL, EOVERFLOW. */
  #insertArea(
    pages: IoptPages,
    place: { readonly iova: bigint; readonly length: bigint },
    startByte: bigint,
    prot: number,
  ): IoptArea {
    if (prot & IOMMU_WRITE && !pages.writable) {
      throw EPERM.because("WRITEABLE is set for what was mapped without it");
    }
    const { iova, length } = place;
    const pageOffset = startByte & BigInt(PAGE_SIZE - 1);
    if (pageOffset & BigInt(this.iovaAlignment - 1)) throw MISALIGNED_MEMORY;
    const last = lastIova(iova, length);
    const area = new IoptArea(
      this,
      { startByte, length },
      pages.source.filling.domainProt(prot),
    );
    if (area.lastIndex >= pages.npages) {
      throw EOVERFLOW.because("the memory has more pages than can be counted");
    }
    this.addArea(area, iova, last);
    return area;
  }

  /** Adds an area, at a place that was checked. */
  addArea(area: IoptArea, iova: bigint, last: bigint): void {
    this.areas.insert(area, iova, last);
    this.areaBits |= area.alignmentBits;
  }

  /** Removes an area without pages (Linux: iopt_abort_area). */
  abortArea(area: IoptArea): void {
    this.kernel.warnings.on(
      area.pages !== null,
      "iopt_abort_area: the area has pages",
    );
    this.areas.remove(area);
    this.searched.clear();
  }

  /**
   * The pages that a range of IOVA maps, without gap, as a list for
   * `mapPages`. Throws EINVAL for length 0, EOVERFLOW, ENOENT, ENOMEM. Linux:
   * iopt_get_pages.
   */
  getPages(iova: bigint, length: bigint): PagesList {
    if (length === 0n) throw NO_LENGTH;
    const last = lastIova(iova, length);
    const list = new PagesList();
    try {
      const iter = new ContigAreas(this, iova, last);
      for (; iter.area; iter.next()) {
        this.kernel.step("pages.list");
        list.add(
          iter.area.pages!.get(),
          iter.area.startByte(iter.curIova),
          iter.curLast - iter.curIova + 1n,
        );
        if (iter.done) return list;
      }
      throw ENOENT.because("part of the source range is not mapped");
    } catch (error) {
      list[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Removes the areas within a range of IOVA; no area may stick out of it.
   * Throws EINVAL for length 0, EOVERFLOW, ENOENT where it would cut an area,
   * EBUSY for an area in the making or under a HW queue, EDEADLOCK if an access does not let go;
   * areas before that are gone. An empty range is no error. Linux:
   * iopt_unmap_iova.
   */
  unmapIova(iova: bigint, length: bigint, result: UnmapResult): void {
    if (length === 0n) throw NO_LENGTH;
    this.#unmapRange(iova, lastIova(iova, length), result);
  }

  /** Removes all areas. Throws EBUSY and EDEADLOCK as `unmapIova`. Linux: iopt_unmap_all. */
  unmapAll(result: UnmapResult): void {
    this.#unmapRange(0n, U64_MAX, result);
  }

  /** Linux: iopt_unmap_iova_range. */
  #unmapRange(first: bigint, last: bigint, result: UnmapResult): void {
    let start = first;
    let tries = 0;
    let used: IoptArea | undefined;
    // What a callback mapped before this point is not this call's to unmap.
    while ((used = this.#unmapUnused(start, last, result))) {
      if (used.iova !== start) tries = 0;
      start = used.iova;
      used.preventAccess = true;
      notifyUnmap(this, start, used.length);
      const stuck = ++tries > MAX_UNMAP_TRIES;
      if (
        this.kernel.warnings.on(
          stuck,
          "iopt_unmap_iova_range: an access does not unpin",
        )
      ) throw EDEADLOCK.because("an access does not unpin its pages");
    }
  }

  /**
   * Removes the areas of a range up to the first that an access uses, which is
   * returned. They leave the tree together, at the end: until then nobody calls
   * anybody who could look.
   */
  #unmapUnused(
    start: bigint,
    last: bigint,
    result: UnmapResult,
  ): IoptArea | undefined {
    const { areas } = this;
    const first = areas.first(start, last);
    if (first === undefined) return undefined;
    const end = areas.lastUpTo(last);
    const unmapper = new Unmapper(this.kernel);
    let removed: IoptArea | undefined;
    try {
      for (let area: IoptArea | undefined = first; area !== undefined;) {
        if (!area.pages) throw EBUSY.because("an area is still being mapped");
        if (area.numLocks > 0) throw LOCKED;
        // Only the first one and the last one can stick out of the range.
        if (
          area === first && area.iova < start ||
          area === end && area.lastIova > last
        ) throw ENOENT.because("the range cuts an area");
        if (area.numAccesses > 0) return area;
        removeContent(area, unmapper);
        removed = area;
        area = area === end ? undefined : areas.after(area);
      }
      return undefined;
    } finally {
      unmapper[Symbol.dispose]();
      if (removed !== undefined) {
        result.unmapped += areas.cut(first, removed);
        this.searched.clear();
      }
    }
  }

  /**
   * Replaces the list of allowed ranges. Throws EADDRINUSE, with the old list
   * kept, if one touches a reserved range. Linux: iopt_set_allow_iova.
   */
  setAllowedIova(allowed: IntervalTree<bigint, IoptRange>): void {
    for (const { start, last } of allowed) {
      const reserved = this.reserved.first(start, last);
      if (reserved === undefined) continue;
      const where = describeOwner(reserved.owner);
      throw EADDRINUSE.because(`part of a range is ${where}`);
    }
    this.allowed = allowed;
    this.searched.clear();
  }

  /**
   * Makes a range unmappable until `owner` gives it up. Throws EADDRINUSE if
   * an area or an allowed range is there, ENOMEM. Linux: iopt_reserve_iova.
   */
  reserveIova(start: bigint, last: bigint, owner: object | null): void {
    const area = this.areas.first(start, last);
    if (area || this.allowed.first(start, last)) {
      const what = area ? "an area" : "an allowed range";
      throw EADDRINUSE.because(`${what} is ${describeOwner(owner)}`);
    }
    this.kernel.step("iova.reserve");
    this.reserved.insert(new IoptRange(start, last, owner));
  }

  /** Gives up all ranges that `owner` reserved (Linux: iopt_remove_reserved_iova). */
  removeReservedIova(owner: object | null): void {
    this.reserved.removeOwned(owner);
    this.searched.clear();
  }
}

/** Takes an area that nobody uses out of the domains, and lets its pages go. */
function removeContent(area: IoptArea, unmapper: Unmapper): void {
  const pages = area.pages!;
  area.pages = null;
  unfillDomains(area, pages, unmapper);
  pages.put();
}
