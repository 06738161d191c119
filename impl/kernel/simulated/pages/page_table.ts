// SPDX-License-Identifier: GPL-2.0-only

/**
 * A sparse table from page indexes to frames, with the loops that run once per
 * page: pinning and dropping.
 *
 * Two things are such a table: the private pages of a process, indexed by
 * address, and the pages of a memory object, indexed by file offset. An entry
 * is a frame number and one flag in an Int32Array, so that both share one loop.
 *
 * @module
 */

import { endOf, type FrameList } from "../../../lib/frame_list.ts";
import { type Frames, GUP_PIN_COUNTING_BIAS } from "./frames.ts";

/** Pages of one leaf: as many as a huge page has, so that an aligned huge page is one leaf. */
export const LEAF_PAGES = 512;

/**
 * Entry flag: this table alone owns the frame, so it may be written and pinned
 * in place (Linux: PageAnonExclusive). Always set in a memory object's table.
 */
export const PTE_EXCLUSIVE = 1;

/** An entry is `pfn << PTE_PFN_SHIFT | flags`; 0 means that no page is there. */
export const PTE_PFN_SHIFT = 1;

/** The highest count of a frame that can be pinned once more: counts are Int32. */
const PINNABLE_MAX = 2 ** 31 - 1 - GUP_PIN_COUNTING_BIAS;

/** A sparse array of page table entries. */
export class PageTable {
  readonly #leaves = new Map<number, Int32Array>();
  /** The leaf that was looked up last, and its number: -1 if it may be gone. */
  #last: Int32Array | undefined;
  #lastNumber = -1;

  /** True when no leaf is held. */
  get isEmpty(): boolean {
    return this.#leaves.size === 0;
  }

  /** The entry of page `index`, 0 if there is none. */
  get(index: number): number {
    const leaf = this.leaf(index);
    return leaf === undefined ? 0 : leaf[index % LEAF_PAGES]!;
  }

  /** Stores the entry of page `index`, which must not be 0. */
  set(index: number, pte: number): void {
    this.writableLeaf(index)[index % LEAF_PAGES] = pte;
  }

  /** Stores one aligned huge page: the 512 frames from `pfn` on, all with `flags`. */
  setHuge(index: number, pfn: number, flags: number): void {
    const leaf = this.writableLeaf(index);
    for (let i = 0; i < LEAF_PAGES; i++) {
      leaf[i] = ((pfn + i) << PTE_PFN_SHIFT) | flags;
    }
  }

  /** The entries around page `index`, at `index % LEAF_PAGES`; undefined if all are 0. */
  leaf(index: number): Int32Array | undefined {
    const number = Math.floor(index / LEAF_PAGES);
    if (number === this.#lastNumber) return this.#last;
    const leaf = this.#leaves.get(number);
    if (leaf === undefined) return undefined;
    this.#last = leaf;
    this.#lastNumber = number;
    return leaf;
  }

  /** As {@link leaf}, made if it is missing. */
  writableLeaf(index: number): Int32Array {
    let leaf = this.leaf(index);
    if (leaf === undefined) {
      leaf = new Int32Array(LEAF_PAGES);
      this.#leaves.set(Math.floor(index / LEAF_PAGES), leaf);
    }
    return leaf;
  }

  /** Indexes of the first pages of the leaves that overlap [first, end), in no order. */
  *leafStarts(first: number, end: number): Generator<number> {
    const firstLeaf = Math.floor(first / LEAF_PAGES);
    const endLeaf = Math.ceil(end / LEAF_PAGES);
    // Ranges may be 2^46 bytes long and almost empty: walk whichever is shorter.
    if (endLeaf - firstLeaf <= this.#leaves.size) {
      for (let number = firstLeaf; number < endLeaf; number++) {
        if (this.#leaves.has(number)) yield number * LEAF_PAGES;
      }
      return;
    }
    for (const number of this.#leaves.keys()) {
      if (number >= firstLeaf && number < endLeaf) yield number * LEAF_PAGES;
    }
  }

  /**
   * Pins the frames of `count` pages from page `index` on and adds them to
   * `list`, which has room for so many runs. Stops at the first page that is
   * missing, not exclusive, or whose count would overflow; returns how many
   * were pinned.
   */
  pin(frames: Frames, index: number, count: number, list: FrameList): number {
    const { refcount } = frames;
    let done = 0;
    while (done < count) {
      const leaf = this.leaf(index + done);
      if (leaf === undefined) return done;
      const from = (index + done) % LEAF_PAGES;
      const end = Math.min(LEAF_PAGES, from + count - done);
      let at = from;
      for (let before = -1; before !== at && at < end;) {
        before = at;
        at = pinSingles(leaf, at, end, refcount, list);
        at = pinFollowing(leaf, at, end, refcount, list);
      }
      done += at - from;
      if (at < end) return done;
    }
    return done;
  }

  /** Whether any frame of it is pinned. */
  isPinned(frames: Frames): boolean {
    for (const leaf of this.#leaves.values()) {
      if (leaf.some((pte) => frames.pins(pte >> PTE_PFN_SHIFT) > 0)) {
        return true;
      }
    }
    return false;
  }

  /** Moves the pages [first, end) to `to` and following, where there are none (Linux: move_page_tables). */
  move(first: number, end: number, to: number): void {
    for (const start of [...this.leafStarts(first, end)]) {
      const leaf = this.leaf(start)!;
      const last = Math.min(end - start, LEAF_PAGES);
      for (let i = Math.max(first - start, 0); i < last; i++) {
        const pte = leaf[i]!;
        if (pte === 0) continue;
        leaf[i] = 0;
        this.set(start + i - first + to, pte);
      }
      if (isZero(leaf)) this.#drop(start / LEAF_PAGES);
    }
  }

  /** Drops the pages [first, end): each loses one reference (Linux: zap_page_range). */
  zap(frames: Frames, first: number, end: number): void {
    for (const start of this.leafStarts(first, end)) {
      const leaf = this.leaf(start)!;
      const from = Math.max(first - start, 0);
      const to = Math.min(end - start, LEAF_PAGES);
      for (let i = from; i < to; i++) {
        const pte = leaf[i]!;
        if (pte === 0) continue;
        leaf[i] = 0;
        frames.put(pte >> PTE_PFN_SHIFT);
      }
      if (isZero(leaf)) this.#drop(start / LEAF_PAGES);
    }
  }

  #drop(number: number): void {
    this.#leaves.delete(number);
    this.#lastNumber = -1;
  }
}

/**
 * Pins the pages `from` up to `end` of a leaf that are a run of frames of their
 * own; returns the first that is not, or cannot be pinned. Scattered memory
 * stays in this loop.
 */
function pinSingles(
  leaf: Int32Array,
  from: number,
  end: number,
  refcount: Int32Array,
  list: FrameList,
): number {
  const { pfns, npfns } = list;
  let run = list.end;
  let next = endOf(list);
  let i = from;
  for (; i < end; i++) {
    const pte = leaf[i]!;
    const pfn = pte >> PTE_PFN_SHIFT;
    const refs = refcount[pfn]!;
    if (
      pfn === next || (pte & PTE_EXCLUSIVE) === 0 || refs > PINNABLE_MAX
    ) break;
    refcount[pfn] = refs + GUP_PIN_COUNTING_BIAS;
    pfns[run] = pfn;
    npfns[run++] = 1;
    next = (pfn + 1) | 0;
  }
  list.end = run;
  return i;
}

/** As {@link pinSingles}, those that go on with the last run. Contiguous memory stays in this loop. */
function pinFollowing(
  leaf: Int32Array,
  from: number,
  end: number,
  refcount: Int32Array,
  list: FrameList,
): number {
  if (list.end === 0) return from;
  let pfn = endOf(list);
  let pte = (pfn << PTE_PFN_SHIFT) | PTE_EXCLUSIVE;
  let i = from;
  for (; i < end && leaf[i] === pte; i++) {
    const refs = refcount[pfn]!;
    if (refs > PINNABLE_MAX) break;
    refcount[pfn] = refs + GUP_PIN_COUNTING_BIAS;
    pfn = (pfn + 1) | 0;
    pte = (pte + (1 << PTE_PFN_SHIFT)) | 0;
  }
  list.npfns[list.end - 1]! += i - from;
  return i;
}

function isZero(leaf: Int32Array): boolean {
  for (let i = 0; i < LEAF_PAGES; i++) {
    if (leaf[i] !== 0) return false;
  }
  return true;
}
