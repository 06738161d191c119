// SPDX-License-Identifier: GPL-2.0-only

/**
 * The loops of the floors, each a function of plain typed arrays: nothing else
 * is left for a compiler to reason about. Page tables hold `frame << 1 | 1`;
 * IOPTEs are those of the mock, two for each page.
 *
 * @module
 */

import { GUP_PIN_COUNTING_BIAS } from "../../impl/kernel/simulated/pages/frames.ts";
import {
  PTE_DIRTY,
  PTE_PFN_MASK,
  PTE_PRESENT,
  PTE_START_OR_LAST,
} from "../../impl/mock/iopte.ts";

/**
 * Raises the pin counts and stores the IOPTEs, with marks where runs of frames
 * begin and end. Returns the number of runs.
 */
export function pinAndStore(
  pageTable: Int32Array,
  refcount: Int32Array,
  ioptes: Uint32Array,
): number {
  const npages = pageTable.length;
  const first = pageTable[0]! >> 1;
  refcount[first]! += GUP_PIN_COUNTING_BIAS;
  ioptes[0] = PTE_PRESENT | PTE_START_OR_LAST | (first << 1);
  let last = PTE_PRESENT | (first << 1) | 1;
  let next = first + 1;
  let runs = 1;
  for (let i = 1; i < npages; i++) {
    const pfn = pageTable[i]! >> 1;
    refcount[pfn]! += GUP_PIN_COUNTING_BIAS;
    const at = 2 * i;
    const pte = PTE_PRESENT | (pfn << 1);
    if (pfn === next) {
      ioptes[at - 1] = last;
      ioptes[at] = pte;
    } else {
      ioptes[at - 1] = last | PTE_START_OR_LAST;
      ioptes[at] = pte | PTE_START_OR_LAST;
      runs++;
    }
    last = pte | 1;
    next = pfn + 1;
  }
  ioptes[2 * npages - 1] = last | PTE_START_OR_LAST;
  return runs;
}

/** As {@link pinAndStore} for one more domain: what is pinned already is not pinned again. */
export function store(pageTable: Int32Array, ioptes: Uint32Array): number {
  const npages = pageTable.length;
  const first = pageTable[0]! >> 1;
  ioptes[0] = PTE_PRESENT | PTE_START_OR_LAST | (first << 1);
  let last = PTE_PRESENT | (first << 1) | 1;
  let next = first + 1;
  let runs = 1;
  for (let i = 1; i < npages; i++) {
    const pfn = pageTable[i]! >> 1;
    const at = 2 * i;
    const pte = PTE_PRESENT | (pfn << 1);
    if (pfn === next) {
      ioptes[at - 1] = last;
      ioptes[at] = pte;
    } else {
      ioptes[at - 1] = last | PTE_START_OR_LAST;
      ioptes[at] = pte | PTE_START_OR_LAST;
      runs++;
    }
    last = pte | 1;
    next = pfn + 1;
  }
  ioptes[2 * npages - 1] = last | PTE_START_OR_LAST;
  return runs;
}

/** As {@link store}, with the frames read from IOPTEs. */
export function copyIoptes(source: Uint32Array, ioptes: Uint32Array): number {
  const npages = ioptes.length >> 1;
  const first = (source[0]! & PTE_PFN_MASK) >> 1;
  ioptes[0] = PTE_PRESENT | PTE_START_OR_LAST | (first << 1);
  let last = PTE_PRESENT | (first << 1) | 1;
  let next = first + 1;
  let runs = 1;
  for (let i = 1; i < npages; i++) {
    const at = 2 * i;
    const pfn = (source[at]! & PTE_PFN_MASK) >> 1;
    const pte = PTE_PRESENT | (pfn << 1);
    if (pfn === next) {
      ioptes[at - 1] = last;
      ioptes[at] = pte;
    } else {
      ioptes[at - 1] = last | PTE_START_OR_LAST;
      ioptes[at] = pte | PTE_START_OR_LAST;
      runs++;
    }
    last = pte | 1;
    next = pfn + 1;
  }
  ioptes[2 * npages - 1] = last | PTE_START_OR_LAST;
  return runs;
}

/** Lowers the pin counts of the frames in IOPTEs; returns how many came free. */
export function unpin(refcount: Int32Array, ioptes: Uint32Array): number {
  const npages = ioptes.length >> 1;
  let freed = 0;
  for (let i = 0; i < npages; i++) {
    const pfn = (ioptes[2 * i]! & PTE_PFN_MASK) >> 1;
    const left = refcount[pfn]! - GUP_PIN_COUNTING_BIAS;
    refcount[pfn] = left;
    if (left === 0) freed++;
  }
  return freed;
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

/** As {@link pin}, for frames that IOPTEs hold and that are pinned already. */
export function storePinned(
  ioptes: Uint32Array,
  pinned: Uint32Array,
  out: Int32Array,
): number {
  const npages = out.length;
  for (let i = 0; i < npages; i++) {
    const pfn = (ioptes[2 * i]! & PTE_PFN_MASK) >> 1;
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
export function clear(entries: Uint32Array): number {
  entries.fill(0);
  return entries.length;
}

/** Copies all bytes. */
export function move(from: Uint8Array, to: Uint8Array): number {
  to.set(from);
  return to.length;
}

/** Makes every other IOPTE dirty. */
export function markDirty(ioptes: Uint32Array): number {
  const { length } = ioptes;
  for (let at = 0; at < length; at += 2) ioptes[at]! |= PTE_DIRTY;
  return ioptes[0]!;
}

/** Makes dirty IOPTEs clean and sets their bits; returns how many there were. */
export function clean(ioptes: Uint32Array, bitmap: Uint8Array): number {
  const { length } = ioptes;
  let found = 0;
  for (let at = 0; at < length; at++) {
    const pte = ioptes[at]!;
    if ((pte & PTE_DIRTY) === 0) continue;
    ioptes[at] = pte & ~PTE_DIRTY;
    bitmap[at >> 3]! |= 1 << (at & 7);
    found++;
  }
  return found;
}
