// SPDX-License-Identifier: GPL-2.0-only

/**
 * A page table in AMD's format: see entry.ts. Linux: generic_pt/iommu_pt.h.
 *
 * Inside, IOVA and memory are counted in granules, so that every number is
 * exact, and its low bits are there for the operators of 32 bits.
 *
 * @module
 */

import type { FrameRuns } from "../../kernel/interfaces/physical_memory.ts";
import type { Iova } from "../../lib/brands.ts";
import { addRun, type FrameList, makeFrameList } from "../../lib/frame_list.ts";
import { EINVAL, ENXIO, ERANGE } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import { type DirtyBitmap, IOMMU_DIRTY_NO_CLEAR } from "../dirty.ts";
import { IOMMU_READ, IOMMU_WRITE } from "../domain.ts";
import type { IoPageTable } from "../page_table/page_table.ts";
import { DirtyWalk } from "./dirty_walk.ts";
import { type AmdV1Entry, entriesOf } from "./entries.ts";
import {
  D,
  indexOf,
  IR,
  IW,
  orderOf,
  sizeOf,
  TABLE_ITEMS,
  TABLE_ORDER,
} from "./entry.ts";
import {
  alignmentOf,
  type AmdV1Format,
  lengthOrder,
  levelOf,
} from "./format.ts";
import { frameAt, readPages, storeEntries, storePages } from "./items.ts";
import { type Table, TableMemory } from "./table.ts";
import { TableTree } from "./tree.ts";
import { walk } from "./walk.ts";

/** Runs that are read at a time. */
const LIST_RUNS = 512;

const BEYOND = ERANGE.because("the IOVA is beyond what the table can hold");

/** A tree of tables, with entries as large as can be. */
export class AmdV1PageTable implements IoPageTable {
  /** The variant. */
  readonly format: AmdV1Format;
  readonly #tree: TableTree;
  /** Granules of the IOVA space. */
  readonly #granules: number;
  /** Granules of a CPU page. */
  readonly #pageGranules: number;
  /** What {@link readPfns} reads into. */
  #list: FrameList | undefined;

  /** A page table that maps nothing, with tables in some memory. */
  constructor(format: AmdV1Format, memory: TableMemory = new TableMemory()) {
    this.format = format;
    this.#granules = format.iovaSize / format.granule;
    this.#pageGranules = PAGE_SIZE / format.granule;
    this.#tree = new TableTree(memory, format.levels, this.#pageGranules);
  }

  /** Tables in use, with the top one. */
  get tables(): number {
    return this.#tree.count;
  }

  /**
   * Maps `size` bytes of memory from `paddr` on at `iova`, each time with the
   * largest entry that fits both addresses and what is left. `prot` is
   * `IOMMU_*` bits. Throws EINVAL without any right, ERANGE for what cannot be
   * reached, ENXIO for what fits no size, EADDRINUSE where something is
   * mapped; nothing is mapped then. No entry is larger than `largest` bytes.
   * (Linux: map_range.)
   */
  map(
    iova: number,
    paddr: number,
    size: number,
    prot: number,
    largest: number = this.format.iovaSize,
  ): void {
    const attributes = this.#attributesOf(prot);
    const { addressSize, granule } = this.format;
    if (paddr >= addressSize) {
      throw ERANGE.because("the memory is beyond what an entry can hold");
    }
    this.#checkAligned(iova | paddr | size);
    const order = lengthOrder(largest / granule);
    this.#map(
      iova / granule,
      paddr / granule,
      size / granule,
      attributes,
      order,
    );
  }

  /** The same with no entry larger than a CPU page. */
  mapSmall(iova: number, paddr: number, size: number, prot: number): void {
    this.map(iova, paddr, size, prot, PAGE_SIZE);
  }

  /**
   * Maps runs of frames, numbers `from` up to `to`, exclusive, of `runs`, at
   * consecutive IOVA from `iova` on, as {@link map} does with each; returns
   * the IOVA behind them. Throws as that, with nothing mapped.
   */
  mapRuns(
    iova: number,
    runs: FrameRuns,
    from: number,
    to: number,
    prot: number,
  ): Iova {
    const attributes = this.#attributesOf(prot);
    this.#checkAligned(iova);
    const { granule } = this.format;
    const first = iova / granule;
    const items = this.#pageGranules;
    // A page that begins within a page of IOVA takes two entries.
    const aligned = first % items === 0;
    let at = first;
    try {
      for (let run = from; run < to;) {
        if (aligned && runs.npfns[run] === 1) {
          const count = this.#mapSingles(at, runs, run, to, attributes);
          run += count;
          at += count * items;
        } else {
          const count = runs.npfns[run]! * items;
          this.#map(at, runs.pfns[run]! * items, count, attributes);
          run++;
          at += count;
        }
      }
    } catch (error) {
      this.#undo(first, at);
      throw error;
    }
    return at * granule as Iova;
  }

  /**
   * Unmaps whole entries from `iova` on until `size` bytes or more are gone;
   * returns how many. It stops at a hole, and at once if `iova` is not where
   * an entry begins. Tables that the range covers are given back. (Linux:
   * unmap_range.)
   */
  unmap(iova: number, size: number): number {
    const { granule, iovaSize } = this.format;
    if (size === 0 || iova % granule !== 0 || iova + size > iovaSize) return 0;
    const first = iova / granule;
    const end = first + Math.ceil(size / granule);
    return (this.#tree.unmap(first, end) - first) * granule;
  }

  /** The address in memory that `iova` stands for; undefined in a hole. (Linux: iova_to_phys.) */
  lookup(iova: number): number | undefined {
    const { granule } = this.format;
    const at = Math.floor(iova / granule);
    const table = this.#find(at);
    if (table === undefined) return undefined;
    return frameAt(table, this.#tree.level, at) * granule + iova % granule;
  }

  /**
   * The same for an access of a device, `IOMMU_READ` or `IOMMU_WRITE`; undefined
   * also where the entry does not allow it. As the hardware does it.
   */
  translate(iova: number, access: number): number | undefined {
    const { granule } = this.format;
    const at = Math.floor(iova / granule);
    const table = this.#find(at);
    if (table === undefined) return undefined;
    const high = table.high(indexOf(at, this.#tree.level));
    if ((high & this.#attributesOf(access) & (IR | IW)) === 0) return undefined;
    return frameAt(table, this.#tree.level, at) * granule + iova % granule;
  }

  /**
   * Stores in `out`, from `to` on, the frames of `npages` CPU pages, of which
   * the first begins at `iova`; 0 for one that begins in a hole.
   */
  readPfns(iova: number, npages: number, out: Int32Array, to: number): void {
    const list = this.#list ??= makeFrameList(LIST_RUNS);
    for (let done = 0; done < npages;) {
      list.end = 0;
      const left = Math.min(npages - done, LIST_RUNS);
      this.readRuns(iova + done * PAGE_SIZE, left, list, LIST_RUNS);
      for (let run = 0; run < list.end; run++) {
        let pfn = list.pfns[run]!;
        for (let i = list.npfns[run]!; i > 0; i--) out[to + done++] = pfn++;
      }
    }
  }

  /**
   * Adds the frames of up to `npages` CPU pages, of which the first begins at
   * `iova`, to a list, as long as they fit into `maxRuns` runs; returns how
   * many. One that begins in a hole has frame 0.
   */
  readRuns(
    iova: number,
    npages: number,
    list: FrameList,
    maxRuns: number,
  ): number {
    const items = this.#pageGranules;
    const first = iova / this.format.granule;
    let done = 0;
    while (done < npages) {
      const at = first + done * items;
      const left = npages - done;
      const table = this.#find(at);
      let count = 0;
      if (table !== undefined && this.#tree.level === 0) {
        const index = indexOf(at, 0);
        count = readPages(table, index, items, left, list, maxRuns);
      }
      if (count === 0) {
        const [pfn, size] = this.#pagesFrom(table, at);
        count = Math.min(size, left);
        if (!addRun(list, maxRuns, pfn, count)) break;
      }
      done += count;
    }
    return done;
  }

  /** As if a device had written to `iova`, where that is mapped: marks one item. (Linux: set_dirty.) */
  setDirty(iova: number): void {
    const at = Math.floor(iova / this.format.granule);
    const table = this.#find(at);
    if (table !== undefined) {
      table.words[2 * indexOf(at, this.#tree.level)]! |= D;
    }
  }

  /**
   * Reports the entries among `size` bytes from `iova` on that were written
   * through, and makes them clean unless `flags` has IOMMU_DIRTY_NO_CLEAR. See
   * dirty_walk.ts. (Linux: read_and_clear_dirty.)
   */
  readDirty(
    iova: number,
    size: number,
    flags: number,
    dirty: DirtyBitmap,
  ): void {
    const { granule } = this.format;
    const first = Math.floor(iova / granule);
    const end = Math.ceil((iova + size) / granule);
    const clears = (flags & IOMMU_DIRTY_NO_CLEAR) === 0;
    const found = new DirtyWalk(first, end, granule, clears, dirty);
    walk(this.#tree, first, end, D, found);
    found.flush();
  }

  /** All entries, in the order of their IOVA. */
  entries(): AmdV1Entry[] {
    return entriesOf(this.#tree, this.#granules, this.format.granule);
  }

  /** Gives all tables back: nothing is mapped, and never will be (Linux: pt_iommu_deinit). */
  free(): void {
    this.#tree.free();
  }

  #attributesOf(prot: number): number {
    if ((prot & (IOMMU_READ | IOMMU_WRITE)) === 0) {
      throw EINVAL.because("the device could neither read nor write");
    }
    return this.format.attributes | (prot & IOMMU_READ ? IR : 0) |
      (prot & IOMMU_WRITE ? IW : 0);
  }

  /** Takes the low bits of what must be a multiple of the smallest page. */
  #checkAligned(bits: number): void {
    if ((bits & (this.format.pageSizes[0]! - 1)) !== 0) {
      throw ENXIO.because("IOVA, memory and length fit no size of an entry");
    }
  }

  /** Maps runs of a single frame, as many as there are in one table; returns how many. */
  #mapSingles(
    at: number,
    { pfns, npfns }: FrameRuns,
    run: number,
    to: number,
    attributes: number,
  ): number {
    if (at >= this.#granules) throw BEYOND;
    const items = this.#pageGranules;
    const index = indexOf(at, 0);
    const stop = Math.min(to, run + (TABLE_ITEMS - index) / items);
    let end = run;
    while (end < stop && npfns[end] === 1) end++;
    const count = end - run;
    const table = this.#vacant(at, 0, index, count * items);
    storePages(table, index, items, pfns, run, end, attributes);
    return count;
  }

  #map(
    first: number,
    frame: number,
    count: number,
    attributes: number,
    most = Infinity,
  ): void {
    const { format } = this;
    const offset = frame - first;
    // IOVA and memory differ in a bit below any larger entry.
    const cap = format.orderAtMost(
      Math.min(most, alignmentOf(Math.abs(offset))),
    );
    const end = first + count;
    if (end > this.#granules) throw BEYOND;
    let at = first;
    try {
      while (at < end) {
        const order = format.orderAtMost(
          Math.min(cap, alignmentOf(at), lengthOrder(end - at)),
        );
        const size = sizeOf(order);
        // A smaller one is followed by a larger one; of the largest there are many.
        const wanted = order === cap ? Math.floor((end - at) / size) : 1;
        at += size *
          this.#mapEntries(at, at + offset, order, wanted, attributes);
      }
    } catch (error) {
      this.#undo(first, at);
      throw error;
    }
  }

  /** Maps up to `wanted` entries of an order, as many as there are in one table; returns how many. */
  #mapEntries(
    at: number,
    frame: number,
    order: number,
    wanted: number,
    attributes: number,
  ): number {
    const level = levelOf(order);
    const items = sizeOf(order - level * TABLE_ORDER);
    const index = indexOf(at, level);
    const count = Math.min(wanted, (TABLE_ITEMS - index) / items);
    const table = this.#vacant(at, level, index, count * items);
    storeEntries(table, index, items, count, frame, order, level, attributes);
    return count;
  }

  /** The table of a level for a granule of IOVA, in which `count` items from `index` on are 0, to be stored next. Throws EADDRINUSE. */
  #vacant(at: number, level: number, index: number, count: number): Table {
    const tree = this.#tree;
    const table = tree.tableFor(at, level, count === TABLE_ITEMS);
    tree.vacate(table, level, index, count);
    return table;
  }

  #undo(first: number, end: number): void {
    if (end > first) this.#tree.unmap(first, end);
  }

  /** As {@link TableTree.find}, also for what is beyond the table. */
  #find(at: number): Table | undefined {
    return at >= this.#granules ? undefined : this.#tree.find(at);
  }

  /** The frame that a granule of IOVA begins in, and how many CPU pages its entry maps from there on; one page of frame 0 where there is no table. */
  #pagesFrom(table: Table | undefined, at: number): [number, number] {
    if (table === undefined) return [0, 1];
    const items = this.#pageGranules;
    const index = indexOf(at, this.#tree.level);
    const low = table.low(index);
    const size = sizeOf(orderOf(low, table.high(index), this.#tree.level));
    const pfn = Math.floor(frameAt(table, this.#tree.level, at) / items);
    return [pfn, Math.ceil((size - at % size) / items)];
  }
}
