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
import { addRun, type FrameList } from "../../lib/frame_list.ts";
import { EADDRINUSE, EINVAL, ENXIO, ERANGE } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import { type DirtyBitmap, IOMMU_DIRTY_NO_CLEAR } from "../dirty.ts";
import { IOMMU_READ, IOMMU_WRITE } from "../domain.ts";
import { DirtyWalk } from "./dirty_walk.ts";
import {
  addressOf,
  D,
  frameOf,
  indexOf,
  IR,
  isTable,
  itemSize,
  IW,
  orderOf,
  PR,
  sizeOf,
  TABLE_ITEMS,
  TABLE_ORDER,
  tableHigh,
  tableLow,
} from "./entry.ts";
import {
  alignmentOf,
  type AmdV1Format,
  lengthOrder,
  levelOf,
} from "./format.ts";
import {
  countItems,
  countSingles,
  nextItem,
  readPages,
  storeEntries,
  storePages,
} from "./items.ts";
import { type Table, TableMemory } from "./table.ts";

/** Runs that are read at a time. */
const LIST_RUNS = 512;

const BEYOND = ERANGE.because("the IOVA is beyond what the table can hold");
const NOT_EMPTY = EADDRINUSE.because("something is mapped there");

/** An entry, for those who look at a page table. */
export interface AmdV1Entry {
  /** First IOVA that it maps. */
  readonly iova: number;
  /** First address in memory. */
  readonly paddr: number;
  /** Bytes. */
  readonly size: number;
  /** The level of its table, counted from 0. */
  readonly level: number;
  /** Its items, as the hardware has them. */
  readonly items: readonly bigint[];
}

/** A tree of tables, with entries as large as can be. */
export class AmdV1PageTable {
  /** The variant. */
  readonly format: AmdV1Format;
  readonly #memory = new TableMemory();
  readonly #top: Table = this.#memory.alloc();
  readonly #topLevel: number;
  /** Granules of the IOVA space. */
  readonly #granules: number;
  /** Granules of a CPU page. */
  readonly #pageGranules: number;
  /** What {@link readPfns} reads into. */
  readonly #list: FrameList = {
    pfns: new Int32Array(LIST_RUNS),
    npfns: new Int32Array(LIST_RUNS),
    end: 0,
  };
  /** The level of the table that {@link #find} found last. */
  #level = 0;

  /** A page table that maps nothing. */
  constructor(format: AmdV1Format) {
    this.format = format;
    this.#topLevel = format.levels - 1;
    this.#granules = format.iovaSize / format.granule;
    this.#pageGranules = PAGE_SIZE / format.granule;
  }

  /** Tables in use, with the top one. */
  get tables(): number {
    return this.#memory.used;
  }

  /**
   * Maps `size` bytes of memory from `paddr` on at `iova`, each time with the
   * largest entry that fits both addresses and what is left. `prot` is
   * `IOMMU_*` bits. Throws EINVAL without any right, ERANGE for what cannot be
   * reached, ENXIO for what fits no size, EADDRINUSE where something is
   * mapped; nothing is mapped then. (Linux: map_range.)
   */
  map(iova: number, paddr: number, size: number, prot: number): void {
    const attributes = this.#attributesOf(prot);
    const { addressSize, granule } = this.format;
    if (paddr >= addressSize) {
      throw ERANGE.because("the memory is beyond what an entry can hold");
    }
    this.#checkAligned(iova | paddr | size);
    this.#map(iova / granule, paddr / granule, size / granule, attributes);
  }

  /**
   * Maps runs of frames, numbers `from` up to `to`, exclusive, of `runs`, at
   * consecutive IOVA from `iova` on, as {@link map} does with each; returns
   * the bytes. Throws as that, with nothing mapped.
   */
  mapRuns(
    iova: number,
    runs: FrameRuns,
    from: number,
    to: number,
    prot: number,
  ): number {
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
    return (at - first) * granule;
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
    return (this.#unmap(this.#top, this.#topLevel, first, end) - first) *
      granule;
  }

  /** The address in memory that `iova` stands for; undefined in a hole. (Linux: iova_to_phys.) */
  lookup(iova: number): number | undefined {
    const { granule } = this.format;
    const at = Math.floor(iova / granule);
    const table = this.#find(at);
    if (table === undefined) return undefined;
    return this.#frameAt(table, at) * granule + iova % granule;
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
    const high = table.high(indexOf(at, this.#level));
    if ((high & this.#attributesOf(access) & (IR | IW)) === 0) return undefined;
    return this.#frameAt(table, at) * granule + iova % granule;
  }

  /**
   * Stores in `out`, from `to` on, the frames of `npages` CPU pages, of which
   * the first begins at `iova`; 0 for one that begins in a hole.
   */
  readPfns(iova: number, npages: number, out: Int32Array, to: number): void {
    const list = this.#list;
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
      if (table !== undefined && this.#level === 0) {
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
    if (table !== undefined) table.words[2 * indexOf(at, this.#level)]! |= D;
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
    const walk = new DirtyWalk(first, end, granule, clears, dirty);
    this.#visit(this.#top, this.#topLevel, first, end, D, walk);
    walk.flush();
  }

  /** All entries, in the order of their IOVA. */
  entries(): AmdV1Entry[] {
    const { granule } = this.format;
    const found: AmdV1Entry[] = [];
    this.#visit(this.#top, this.#topLevel, 0, this.#granules, PR, {
      visit: (table, index, items, at, size, level) => {
        found.push({
          iova: at * granule,
          paddr: this.#frameAt(table, at, level) * granule,
          size: size * granule,
          level,
          items: table.items(index, items),
        });
      },
    });
    return found;
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
    const table = this.#tableFor(at, 0);
    const index = indexOf(at, 0);
    const most = (TABLE_ITEMS - index) / items;
    const count = countSingles(npfns, run, Math.min(to, run + most));
    this.#vacate(table, 0, index, count * items);
    storePages(table, index, items, pfns, run, run + count, attributes);
    return count;
  }

  #map(first: number, frame: number, count: number, attributes: number): void {
    const { format } = this;
    const offset = frame - first;
    // IOVA and memory differ in a bit below any larger entry.
    const cap = format.orderAtMost(alignmentOf(Math.abs(offset)));
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
    const table = this.#tableFor(at, level);
    const index = indexOf(at, level);
    const count = Math.min(wanted, (TABLE_ITEMS - index) / items);
    this.#vacate(table, level, index, count * items);
    storeEntries(table, index, items, count, frame, order, level, attributes);
    return count;
  }

  /** The table of a level for a granule of IOVA; makes those that are missing. Throws EADDRINUSE where a larger entry is. */
  #tableFor(at: number, level: number): Table {
    let table = this.#top;
    for (let above = this.#topLevel; above > level; above--) {
      const index = indexOf(at, above);
      const low = table.low(index);
      if (low === 0) {
        const lower = this.#memory.alloc();
        const frame = lower.page * this.#pageGranules;
        table.store(index, 1, tableLow(frame, above), tableHigh(frame));
        table = lower;
      } else {
        if (!isTable(low)) throw NOT_EMPTY;
        table = this.#lower(table, index);
      }
    }
    return table;
  }

  #lower(table: Table, index: number): Table {
    const frame = addressOf(table.low(index), table.high(index));
    return this.#memory.at(frame / this.#pageGranules);
  }

  /** Frees tables that map nothing in the way of an entry. Throws EADDRINUSE if something is mapped. (Linux: clear_contig.) */
  #vacate(table: Table, level: number, index: number, count: number): void {
    if (table.live === 0) return;
    for (let i = index; i < index + count; i++) {
      const low = table.low(i);
      if (low === 0) continue;
      if (!isTable(low)) throw NOT_EMPTY;
      const lower = this.#lower(table, i);
      this.#vacate(lower, level - 1, 0, TABLE_ITEMS);
      table.clear(i, 1);
      this.#memory.free(lower);
    }
  }

  #undo(first: number, end: number): void {
    if (end > first) this.#unmap(this.#top, this.#topLevel, first, end);
  }

  /** Unmaps from granule `first` on, below one table, until `end` or more; returns where it ended. */
  #unmap(table: Table, level: number, first: number, end: number): number {
    const size = itemSize(level);
    let at = first;
    let index = indexOf(at, level);
    while (at < end && index < TABLE_ITEMS) {
      const low = table.low(index);
      if (low === 0) return at;
      if (!isTable(low)) {
        const order = orderOf(low, table.high(index), level);
        if (at % sizeOf(order) !== 0) return at;
        const last = Math.min(index + (end - at) / size, TABLE_ITEMS);
        const items = countItems(table, level, index, last);
        table.clear(index, items);
        at += items * size;
        index += items;
        continue;
      }
      const next = (Math.floor(at / size) + 1) * size;
      const wanted = Math.min(end, next);
      const lower = this.#lower(table, index);
      const stop = this.#unmap(lower, level - 1, at, wanted);
      if (stop < wanted) return stop;
      if (at === next - size && next <= end) {
        table.clear(index, 1);
        this.#memory.free(lower);
      }
      at = stop;
      index++;
    }
    return at;
  }

  /** Shows a visitor the entries below one table that map some of a range and have one of `bits` in the low word of an item. */
  #visit(
    table: Table,
    level: number,
    first: number,
    end: number,
    bits: number,
    visitor: Visitor,
  ): void {
    if (table.live === 0) return;
    const size = itemSize(level);
    const start = first - first % (size * TABLE_ITEMS);
    // An entry that the range cuts is looked at as a whole.
    const head = indexOf(first, level);
    const tail = indexOf(end - 1, level);
    let index = head - head % entryItems(table, level, head);
    const items = entryItems(table, level, tail);
    const stop = tail - tail % items + items;
    while ((index = nextItem(table, index, stop, bits)) < stop) {
      const at = start + index * size;
      if (isTable(table.low(index))) {
        const lower = this.#lower(table, index++);
        const low = Math.max(first, at);
        const high = Math.min(end, at + size);
        this.#visit(lower, level - 1, low, high, bits, visitor);
      } else {
        const items = entryItems(table, level, index);
        const before = index % items;
        index -= before;
        visitor.visit(
          table,
          index,
          items,
          at - before * size,
          items * size,
          level,
        );
        index += items;
      }
    }
  }

  /** The table with the item that maps a granule; undefined if none does. Its level is in `#level`. */
  #find(at: number): Table | undefined {
    if (at >= this.#granules) return undefined;
    let table = this.#top;
    let level = this.#topLevel;
    for (;; level--) {
      const index = indexOf(at, level);
      const low = table.low(index);
      if (low === 0) return undefined;
      if (!isTable(low)) break;
      table = this.#lower(table, index);
    }
    this.#level = level;
    return table;
  }

  /** The granule of memory behind one of IOVA, which an entry of `table` maps. */
  #frameAt(table: Table, at: number, level = this.#level): number {
    const index = indexOf(at, level);
    const low = table.low(index);
    const high = table.high(index);
    const order = orderOf(low, high, level);
    return frameOf(low, high, order) + at % sizeOf(order);
  }

  /** The frame that a granule of IOVA begins in, and how many CPU pages its entry maps from there on; one page of frame 0 where there is no table. */
  #pagesFrom(table: Table | undefined, at: number): [number, number] {
    if (table === undefined) return [0, 1];
    const items = this.#pageGranules;
    const index = indexOf(at, this.#level);
    const low = table.low(index);
    const size = sizeOf(orderOf(low, table.high(index), this.#level));
    const pfn = Math.floor(this.#frameAt(table, at) / items);
    return [pfn, Math.ceil((size - at % size) / items)];
  }
}

/** The items of the entry that an item belongs to; 1 for an item of no entry. */
function entryItems(table: Table, level: number, index: number): number {
  const low = table.low(index);
  if (low === 0 || isTable(low)) return 1;
  const order = orderOf(low, table.high(index), level);
  return sizeOf(order - level * TABLE_ORDER);
}

/** Who looks at entries: `items` items from `index` on, which map `size` granules from `at` on. */
interface Visitor {
  visit(
    table: Table,
    index: number,
    items: number,
    at: number,
    size: number,
    level: number,
  ): void;
}
