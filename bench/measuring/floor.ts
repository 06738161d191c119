// SPDX-License-Identifier: GPL-2.0-only

/**
 * Floors: the work on typed arrays that operations cannot avoid, in the fewest
 * passes and with nothing else. How far an operation is above its floor means
 * the same on any machine.
 *
 * A page costs: its frame is read from a page table, its pin count is raised,
 * where its run of contiguous frames begins and ends is found out, and the
 * largest entry that fits is stored in each domain. On the way back the frame
 * is read from the entry, that is cleared, and the pin count is lowered, which
 * may free the frame. The frames of small pages are not aligned as their IOVA
 * is, neither here nor in the model: each has an entry of its own.
 *
 * @module
 */

import { HPAGE_FRAMES } from "../../impl/kernel/simulated/pages/frames.ts";
import {
  clean,
  clear,
  copyEntries,
  drop,
  ENTRY_WORDS,
  markDirty,
  move,
  pin,
  pinAndStore,
  pinHuge,
  store,
  storeHuge,
  storePinned,
  unpin,
  unpinHuge,
  unpinStored,
} from "./floor_loops.ts";
import type { Floor } from "./scenario.ts";

/** Entry of a page table: the page is there. */
const PRESENT = 1;
/** Frames before those in use. */
const FIRST_FRAME = HPAGE_FRAMES;

/** What a floor stands for. */
export interface FloorOptions {
  /** Pages that a phase touches, all calls together. */
  readonly npages: number;
  /** Domains; default 1. */
  readonly domains?: number;
  /** Whether the frames are scattered; default false. */
  readonly scattered?: boolean;
  /** Whether they are those of huge pages; default false. */
  readonly huge?: boolean;
}

/** A loop and what it works on. */
interface Work {
  readonly loop: (...arrays: ArrayLike<number>[]) => number;
  readonly arrays: readonly ArrayLike<number>[];
}

function work<A extends ArrayLike<number>[]>(
  loop: (...arrays: A) => number,
  ...arrays: A
): Work {
  return { loop: loop as Work["loop"], arrays };
}

/**
 * Does all of the work. This is the only place that calls a loop, so that V8
 * compiles each of them on its own: one that it puts into its caller takes up
 * to twice as long.
 */
function runAll(all: readonly Work[]): number {
  let sum = 0;
  for (const { loop, arrays } of all) sum += loop(...arrays);
  return sum;
}

/** Mapping memory into domains, and unmapping it: `map` and `unmap`. */
export function mapFloor(
  { npages, domains = 1, scattered = false, huge = false }: FloorOptions,
): { map: () => number; unmap: () => number } {
  const { pageTable, refcount } = memory(npages, scattered);
  const size = huge ? Math.ceil(npages / HPAGE_FRAMES) : npages;
  const first = entriesOf(size);
  const others = Array.from({ length: domains - 1 }, () => entriesOf(size));
  const map = [
    work(huge ? pinHuge : pinAndStore, pageTable, refcount, first),
    ...others.map((other) => work(huge ? storeHuge : store, pageTable, other)),
  ];
  const unmap = [
    ...others.map((other) => work(clear, other)),
    work(huge ? unpinHuge : unpin, refcount, first),
    work(clear, first),
  ];
  return { map: () => runAll(map), unmap: () => runAll(unmap) };
}

/**
 * Mapping what domains map already, and unmapping that: `copy` and `unmap`.
 * Nothing is pinned or unpinned.
 */
export function copyFloor({ npages, domains = 1 }: FloorOptions): Floor {
  const source = mappedEntries(npages);
  const copies = Array.from({ length: domains }, () => entriesOf(npages));
  const copy = copies.map((each) => work(copyEntries, source, each));
  const unmap = copies.map((each) => work(clear, each));
  return { copy: () => runAll(copy), unmap: () => runAll(unmap) };
}

/**
 * What goes over areas of a page each. Dropping them, `drop`: what is known of
 * an area, where it is and how it is found, fits into eight words, which are
 * read and cleared; a domain forgets its pages. Their pages come into a domain
 * and go again: `fill` and `empty`.
 */
export function areasFloor(
  areas: number,
  domains: number,
): { drop: () => number; fill: () => number; empty: () => number } {
  const { map, unmap } = mapFloor({ npages: areas });
  const rows = [work(drop, new Int32Array(AREA_WORDS * areas))];
  return {
    drop: () => runAll(rows) + (domains > 0 ? unmap() : 0),
    fill: map,
    empty: unmap,
  };
}

/**
 * Pinning pages for an access, and unpinning them: `pin` and `unpin`. The
 * frames come from memory, or from a domain that has pinned them already, and
 * go to the caller and into the list of pinned frames.
 */
export function accessFloor({ npages, domains = 1 }: FloorOptions): Floor {
  const { pageTable, refcount } = memory(npages, false);
  const pinned = new Uint32Array(npages);
  const out = new Int32Array(npages);
  const fromMemory = domains === 0;
  const pinning = fromMemory
    ? [work(pin, pageTable, refcount, pinned, out)]
    : [work(storePinned, mappedEntries(npages), pinned, out)];
  const unpinning = [
    ...fromMemory ? [work(unpinStored, refcount, pinned)] : [],
    work(clear, pinned),
  ];
  return { pin: () => runAll(pinning), unpin: () => runAll(unpinning) };
}

/**
 * Moving bytes between memory and a caller by way of a buffer of the kernel,
 * as the test operation does it, `times` times.
 */
export function rwFloor(length: number, times: number): () => number {
  const place = new Uint8Array(length);
  const buffer = new Uint8Array(length);
  const caller = new Uint8Array(length);
  const moves = [work(move, place, buffer), work(move, buffer, caller)];
  const all = Array.from({ length: times }, () => moves).flat();
  return () => runAll(all);
}

/**
 * Finding the entries that are dirty, making them clean, and setting the bits
 * of each: `get`, after `mark` has made all of them dirty.
 */
export function dirtyFloor(
  npages: number,
): { mark: () => number; get: () => number } {
  const entries = mappedEntries(npages);
  const bitmap = new Uint8Array(Math.ceil(entries.length / 16));
  const mark = [work(markDirty, entries)];
  const get = [work(clean, entries, bitmap)];
  return { mark: () => runAll(mark), get: () => runAll(get) };
}

/** Lets the compiler see all loops often, so that none is measured half compiled. */
export function warmFloors(): void {
  for (const scattered of [false, true]) {
    const options = { npages: HPAGE_FRAMES, scattered };
    const floors: Floor[] = [
      mapFloor(options),
      mapFloor({ ...options, domains: 2 }),
      mapFloor({ ...options, domains: 2, huge: true }),
      copyFloor(options),
      accessFloor({ ...options, domains: 0 }),
      accessFloor(options),
      dirtyFloor(HPAGE_FRAMES),
      areasFloor(HPAGE_FRAMES, 1),
    ];
    const steps = floors.flatMap((floor) => Object.values(floor));
    for (let i = 0; i < WARM_ROUNDS; i++) for (const step of steps) step();
  }
}

/** Words of 32 bits that an area cannot do without. */
const AREA_WORDS = 8;

/** V8 compiles a loop like these for good well before this many calls. */
const WARM_ROUNDS = 2000;

/** Memory of a process: frame and flag of each page, and references of each frame. */
function memory(
  npages: number,
  scattered: boolean,
): { pageTable: Int32Array; refcount: Int32Array } {
  const pfns = scattered ? scatteredFrames(npages) : orderedFrames(npages);
  return {
    pageTable: pfns.map((pfn) => (pfn << 1) | PRESENT),
    refcount: new Int32Array(FIRST_FRAME + npages).fill(1),
  };
}

/** The entries of pages that are mapped. */
function mappedEntries(npages: number): Int32Array {
  const { pageTable, refcount } = memory(npages, false);
  const entries = entriesOf(npages);
  pinAndStore(pageTable, refcount, entries);
  return entries;
}

/** Entries that map nothing. */
function entriesOf(count: number): Int32Array {
  return new Int32Array(ENTRY_WORDS * count);
}

function orderedFrames(npages: number): Int32Array {
  return Int32Array.from({ length: npages }, (_, i) => FIRST_FRAME + i);
}

/** Frames that are shuffled within blocks of 512, as those of the model are. */
function scatteredFrames(npages: number): Int32Array {
  const pfns = orderedFrames(npages);
  let state = 1;
  for (let block = 0; block < npages; block += HPAGE_FRAMES) {
    for (let i = Math.min(HPAGE_FRAMES, npages - block) - 1; i > 0; i--) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const j = Math.floor((state / 2 ** 32) * (i + 1));
      const pfn = pfns[block + i]!;
      pfns[block + i] = pfns[block + j]!;
      pfns[block + j] = pfn;
    }
  }
  return pfns;
}
