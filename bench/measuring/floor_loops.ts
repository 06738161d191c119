// SPDX-License-Identifier: GPL-2.0-only

/**
 * The loops of the floors, each a function of plain typed arrays: nothing else
 * is left for a compiler to reason about. Page tables hold `frame << 1 | 1`.
 * IO page tables are those of the mock, with an entry as large as can be: one
 * for a page, which is two items of two words; or one for a huge page, which is
 * two items of the next level.
 *
 * @module
 */

import {
  D,
  IR,
  IW,
  NEXT_LEVEL_SIZED,
  PR,
} from "../../impl/iommu/amdv1/entry.ts";
import {
  GUP_PIN_COUNTING_BIAS,
  HPAGE_FRAMES,
} from "../../impl/kernel/simulated/pages/frames.ts";

/** Words of an entry of two items. */
export const ENTRY_WORDS = 4;
/** An entry of two items: the low word, without the address, and the high word. */
const PAGE_LOW = PR | NEXT_LEVEL_SIZED;
const PAGE_HIGH = IR | IW;
/** Where the number of a frame is in the low word, and what belongs to it in the high one. */
const FRAME_SHIFT = 13;
const FRAME_HIGH = 2 ** 20 - 1;
/** The low word of an entry of 2 MiB, with the ones that tell its size, and what they add to the number of its frame. */
const HUGE_LOW = PAGE_LOW | ((HPAGE_FRAMES - 1) << (FRAME_SHIFT - 1));
const HUGE_CODE = HPAGE_FRAMES / 2 - 1;

/** Raises the pin counts and stores an entry for each page. Returns the number of runs of frames. */
export function pinAndStore(
  pageTable: Int32Array,
  refcount: Int32Array,
  words: Int32Array,
): number {
  let next = -1;
  let runs = 0;
  for (let i = 0, at = 0; i < pageTable.length; i++, at += ENTRY_WORDS) {
    const pfn = pageTable[i]! >> 1;
    refcount[pfn]! += GUP_PIN_COUNTING_BIAS;
    const low = PAGE_LOW | (pfn << FRAME_SHIFT);
    const high = PAGE_HIGH | (pfn >>> (32 - FRAME_SHIFT));
    words[at] = low;
    words[at + 1] = high;
    words[at + 2] = low;
    words[at + 3] = high;
    if (pfn !== next) runs++;
    next = pfn + 1;
  }
  return runs;
}

/** As {@link pinAndStore} for one more domain: what is pinned already is not pinned again. */
export function store(pageTable: Int32Array, words: Int32Array): number {
  let next = -1;
  let runs = 0;
  for (let i = 0, at = 0; i < pageTable.length; i++, at += ENTRY_WORDS) {
    const pfn = pageTable[i]! >> 1;
    const low = PAGE_LOW | (pfn << FRAME_SHIFT);
    const high = PAGE_HIGH | (pfn >>> (32 - FRAME_SHIFT));
    words[at] = low;
    words[at + 1] = high;
    words[at + 2] = low;
    words[at + 3] = high;
    if (pfn !== next) runs++;
    next = pfn + 1;
  }
  return runs;
}

/** As {@link store}, with the frames read from entries. */
export function copyEntries(source: Int32Array, words: Int32Array): number {
  let next = -1;
  let runs = 0;
  for (let at = 0; at < source.length; at += ENTRY_WORDS) {
    const low = source[at]!;
    const high = source[at + 1]!;
    const pfn = frameOf(low, high);
    words[at] = low;
    words[at + 1] = high;
    words[at + 2] = low;
    words[at + 3] = high;
    if (pfn !== next) runs++;
    next = pfn + 1;
  }
  return runs;
}

/** As {@link pinAndStore} for huge pages: an entry for each. */
export function pinHuge(
  pageTable: Int32Array,
  refcount: Int32Array,
  words: Int32Array,
): number {
  let next = -1;
  let runs = 0;
  for (let i = 0; i < pageTable.length; i++) {
    const pfn = pageTable[i]! >> 1;
    refcount[pfn]! += GUP_PIN_COUNTING_BIAS;
    if (pfn !== next) runs++;
    next = pfn + 1;
  }
  return runs + storeHuge(pageTable, words);
}

/** The entries of huge pages; returns 0. */
export function storeHuge(pageTable: Int32Array, words: Int32Array): number {
  for (let i = 0, at = 0; at < words.length; i += HPAGE_FRAMES) {
    const pfn = pageTable[i]! >> 1;
    for (const end = at + ENTRY_WORDS; at < end; at += 2) {
      words[at] = HUGE_LOW | (pfn << FRAME_SHIFT);
      words[at + 1] = PAGE_HIGH | (pfn >>> (32 - FRAME_SHIFT));
    }
  }
  return 0;
}

/** Lowers the pin counts of the frames in entries; returns how many came free. */
export function unpin(refcount: Int32Array, words: Int32Array): number {
  let freed = 0;
  for (let at = 0; at < words.length; at += ENTRY_WORDS) {
    const pfn = frameOf(words[at]!, words[at + 1]!);
    const left = refcount[pfn]! - GUP_PIN_COUNTING_BIAS;
    refcount[pfn] = left;
    if (left === 0) freed++;
  }
  return freed;
}

/** As {@link unpin}, for the entries of huge pages. */
export function unpinHuge(refcount: Int32Array, words: Int32Array): number {
  let freed = 0;
  for (let at = 0; at < words.length; at += ENTRY_WORDS) {
    const first = frameOf(words[at]!, words[at + 1]!) - HUGE_CODE;
    for (let pfn = first; pfn < first + HPAGE_FRAMES; pfn++) {
      const left = refcount[pfn]! - GUP_PIN_COUNTING_BIAS;
      refcount[pfn] = left;
      if (left === 0) freed++;
    }
  }
  return freed;
}

function frameOf(low: number, high: number): number {
  return (low >>> FRAME_SHIFT) | ((high & FRAME_HIGH) << (32 - FRAME_SHIFT));
}

/** Raises the pin counts; the frames go to `pinned`, plus 1, and to `out`. */
export function pin(
  pageTable: Int32Array,
  refcount: Int32Array,
  pinned: Uint32Array,
  out: Int32Array,
): number {
  const npages = out.length;
  for (let i = 0; i < npages; i++) {
    const pfn = pageTable[i]! >> 1;
    refcount[pfn]! += GUP_PIN_COUNTING_BIAS;
    pinned[i] = pfn + 1;
    out[i] = pfn;
  }
  return out[npages - 1]!;
}

/** As {@link pin}, for frames that entries hold and that are pinned already. */
export function storePinned(
  words: Int32Array,
  pinned: Uint32Array,
  out: Int32Array,
): number {
  const npages = out.length;
  for (let i = 0; i < npages; i++) {
    const pfn = frameOf(words[ENTRY_WORDS * i]!, words[ENTRY_WORDS * i + 1]!);
    pinned[i] = pfn + 1;
    out[i] = pfn;
  }
  return out[npages - 1]!;
}

/** Lowers the pin counts of the frames in `pinned`; returns how many came free. */
export function unpinStored(refcount: Int32Array, pinned: Uint32Array): number {
  const npages = pinned.length;
  let freed = 0;
  for (let i = 0; i < npages; i++) {
    const pfn = pinned[i]! - 1;
    const left = refcount[pfn]! - GUP_PIN_COUNTING_BIAS;
    refcount[pfn] = left;
    if (left === 0) freed++;
  }
  return freed;
}

/** Clears all entries. */
export function clear(entries: Uint32Array | Int32Array): number {
  entries.fill(0);
  return entries.length;
}

/** Reads all words, and clears them. */
export function drop(words: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < words.length; i++) {
    sum = (sum + words[i]!) | 0;
    words[i] = 0;
  }
  return sum;
}

/** Copies all bytes. */
export function move(from: Uint8Array, to: Uint8Array): number {
  to.set(from);
  return to.length;
}

/** Makes the entry of every page dirty. */
export function markDirty(words: Int32Array): number {
  const { length } = words;
  for (let at = 0; at < length; at += ENTRY_WORDS) words[at]! |= D;
  return words[0]!;
}

/** Makes dirty entries clean and sets the bits of their items; returns how many there were. */
export function clean(words: Int32Array, bitmap: Uint8Array): number {
  let found = 0;
  for (let at = 0; at < words.length; at += ENTRY_WORDS) {
    if (((words[at]! | words[at + 2]!) & D) === 0) continue;
    words[at]! &= ~D;
    words[at + 2]! &= ~D;
    const item = at >> 1;
    bitmap[item >> 3]! |= 3 << (item & 7);
    found++;
  }
  return found;
}
