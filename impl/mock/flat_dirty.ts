// SPDX-License-Identifier: GPL-2.0-only

/**
 * Dirty bits in the mock IOMMU's page table: setting those of a bitmap, and
 * collecting them.
 *
 * A leaf of the table is 1 MiB of IOVA, which is one page of the large size.
 *
 * @module
 */

import { type DirtyBitmap, IOMMU_DIRTY_NO_CLEAR } from "../iommu/dirty.ts";
import { LEAF_SIZE, type SparseUint32Array } from "../lib/sparse_array.ts";
import { MOCK_HUGE_PAGE_SIZE, MOCK_IO_PAGE_SIZE } from "../uapi/selftest.ts";
import { PTE_DIRTY, PTE_HUGE } from "./iopte.ts";

/**
 * Reports the dirty pages among the entries from index `first` to `end`,
 * exclusive; clears their bits unless `flags` has IOMMU_DIRTY_NO_CLEAR.
 *
 * A 1 MiB page is dirty if any of its entries is. Like Linux
 * (mock_domain_read_and_clear_dirty) this reports 1 MiB from the entry on
 * where the walk met the page, and goes on after that. A walk that begins in
 * the middle of such a page therefore reports the wrong megabyte, may go past
 * `end` in what it reports, and never sees what it stepped over.
 */
export function collectDirty(
  ptes: SparseUint32Array,
  first: number,
  end: number,
  flags: number,
  dirty: DirtyBitmap,
): void {
  const clears = (flags & IOMMU_DIRTY_NO_CLEAR) === 0;
  for (let index = first; index < end;) {
    const from = index % LEAF_SIZE;
    const leafStart = index - from;
    const leaf = ptes.leaf(index);
    if (leaf === undefined) {
      index = leafStart + LEAF_SIZE;
      continue;
    }
    const to = Math.min(end - leafStart, LEAF_SIZE);
    const stop = collectSmall(leaf, leafStart, from, to, clears, dirty);
    index = leafStart + stop;
    if (stop === to) continue;
    if (testAndClear(leaf, 0, LEAF_SIZE, clears) > 0) {
      dirty.record(index * MOCK_IO_PAGE_SIZE, MOCK_HUGE_PAGE_SIZE);
    }
    index += LEAF_SIZE;
  }
}

/** Reports runs of dirty 2 KiB pages of a leaf up to `to` or to the first entry of a 1 MiB page; returns where it stopped. */
function collectSmall(
  leaf: Uint32Array,
  leafStart: number,
  from: number,
  to: number,
  clears: boolean,
  dirty: DirtyBitmap,
): number {
  let i = from;
  while (i < to) {
    const flags = leaf[i]! & (PTE_DIRTY | PTE_HUGE);
    if (flags & PTE_HUGE) break;
    if (flags === 0) {
      i++;
      continue;
    }
    const run = i;
    while (i < to && (leaf[i]! & (PTE_DIRTY | PTE_HUGE)) === PTE_DIRTY) i++;
    if (clears) testAndClear(leaf, run, i, true);
    const iova = (leafStart + run) * MOCK_IO_PAGE_SIZE;
    dirty.record(iova, MOCK_IO_PAGE_SIZE, i - run);
  }
  return i;
}

/** How many entries of part of a leaf are dirty; they no longer are if `clears` (Linux: mock_test_and_clear_dirty). */
function testAndClear(
  leaf: Uint32Array,
  from: number,
  end: number,
  clears: boolean,
): number {
  let found = 0;
  for (let i = from; i < end; i++) {
    const pte = leaf[i]!;
    if ((pte & PTE_DIRTY) === 0) continue;
    found++;
    if (clears) leaf[i] = pte & ~PTE_DIRTY;
  }
  return found;
}

/**
 * Makes dirty those of `count` entries from index `first` on that are there
 * and whose bit is set, beginning with bit `at` of `bits`. Returns how many,
 * those that were dirty already included. (Linux: iommufd_test_dirty.)
 */
export function markDirty(
  ptes: SparseUint32Array,
  first: number,
  count: number,
  bits: Uint8Array,
  at: number,
): number {
  let marked = 0;
  for (let done = 0; done < count;) {
    const from = (first + done) % LEAF_SIZE;
    const n = Math.min(count - done, LEAF_SIZE - from);
    const leaf = ptes.leaf(first + done);
    if (leaf !== undefined) marked += markLeaf(leaf, from, n, bits, at + done);
    done += n;
  }
  return marked;
}

function markLeaf(
  leaf: Uint32Array,
  from: number,
  count: number,
  bits: Uint8Array,
  at: number,
): number {
  let marked = 0;
  for (let i = from, bit = at; i < from + count; i++, bit++) {
    if (((bits[bit >> 3]! >> (bit & 7)) & 1) === 0 || leaf[i] === 0) continue;
    leaf[i]! |= PTE_DIRTY;
    marked++;
  }
  return marked;
}
