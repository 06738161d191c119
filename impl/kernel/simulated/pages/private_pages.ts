// SPDX-License-Identifier: GPL-2.0-only

/**
 * The private pages of a process and copy-on-write.
 *
 * @module
 */

import { PAGE_SIZE } from "../../../uapi/mman.ts";
import type { Frames } from "./frames.ts";
import {
  LEAF_PAGES,
  PageTable,
  PTE_EXCLUSIVE,
  PTE_PFN_SHIFT,
} from "./page_table.ts";
import type { Vma } from "../mappings/vma.ts";

/** The frame that untouched private memory reads: no one owns it, its bytes are zero. */
export const ZERO_PFN = 0;

/** The private pages of one process, indexed by address / page size. */
export class PrivatePages {
  /** Frames by page; an entry without PTE_EXCLUSIVE may have other owners. */
  readonly table: PageTable = new PageTable();
  readonly #frames: Frames;

  /** No pages. */
  constructor(frames: Frames) {
    this.#frames = frames;
  }

  /** The private frame of page `page`, 0 if there is none. */
  present(page: number): number {
    return this.table.get(page) >> PTE_PFN_SHIFT;
  }

  /**
   * The frame that a read of page `page` of a private mapping sees. Throws
   * EFAULT beyond the end of a file, ENOMEM.
   */
  frameToRead(vma: Vma, page: number): number {
    const pte = this.table.get(page);
    if (pte !== 0) return pte >> PTE_PFN_SHIFT;
    if (vma.huge) {
      // There is no huge zero page here: a hole is filled, for this process alone.
      return objectFrame(vma, page) || this.#makeHugeExclusive(vma, page);
    }
    return vma.object?.frameAt(vma.objectIndex(page)) ?? ZERO_PFN;
  }

  /**
   * Makes page `page` of a private mapping this process's own, copying it if
   * it is shared. Writing needs that, and so does pinning, which must keep
   * seeing what the process sees. Throws EFAULT beyond the end of a file,
   * ENOMEM. (Linux: do_wp_page and FAULT_FLAG_UNSHARE.)
   */
  makeExclusive(vma: Vma, page: number): number {
    if (vma.huge) return this.#makeHugeExclusive(vma, page);
    const pte = this.table.get(page);
    const shared = pte >> PTE_PFN_SHIFT;
    if ((pte & PTE_EXCLUSIVE) !== 0) return shared;
    if (pte !== 0 && this.#frames.refcount[shared] === 1) {
      // The other owners are gone (Linux: wp_can_reuse_anon_folio).
      this.table.set(page, pte | PTE_EXCLUSIVE);
      return shared;
    }
    const source = this.frameToRead(vma, page);
    const pfn = this.#frames.alloc();
    this.#frames.copy(source, pfn, 1);
    this.table.set(page, (pfn << PTE_PFN_SHIFT) | PTE_EXCLUSIVE);
    if (pte !== 0) this.#frames.put(shared);
    return pfn;
  }

  /**
   * Gives the child of a fork the private pages of `vma`. Both sides lose the
   * exclusive ownership; a pinned page is copied at once, because the pin must
   * stay with the parent (Linux: copy_present_page). Throws ENOMEM; what the
   * child got until then is for the caller to drop.
   */
  forkTo(child: PrivatePages, vma: Vma): void {
    const first = vma.start / PAGE_SIZE;
    const end = vma.end / PAGE_SIZE;
    for (const start of this.table.leafStarts(first, end)) {
      const from = Math.max(first - start, 0);
      const to = Math.min(end - start, LEAF_PAGES);
      if (vma.huge) this.#forkHuge(child, start);
      else this.#forkLeaf(child, start, from, to);
    }
  }

  /** Drops the pages [first, end). */
  zap(first: number, end: number): void {
    this.table.zap(this.#frames, first, end);
  }

  #forkLeaf(
    child: PrivatePages,
    start: number,
    from: number,
    to: number,
  ): void {
    const leaf = this.table.leaf(start)!;
    const childLeaf = child.table.writableLeaf(start);
    for (let i = from; i < to; i++) {
      const pte = leaf[i]!;
      if (pte === 0) continue;
      const pfn = pte >> PTE_PFN_SHIFT;
      if ((pte & PTE_EXCLUSIVE) !== 0 && this.#frames.pins(pfn) > 0) {
        const copy = this.#frames.alloc();
        this.#frames.copy(pfn, copy, 1);
        childLeaf[i] = (copy << PTE_PFN_SHIFT) | PTE_EXCLUSIVE;
      } else {
        leaf[i] = childLeaf[i] = pte & ~PTE_EXCLUSIVE;
        this.#frames.get(pfn);
      }
    }
  }

  #forkHuge(child: PrivatePages, start: number): void {
    const leaf = this.table.leaf(start)!;
    const head = leaf[0]! >> PTE_PFN_SHIFT;
    if ((leaf[0]! & PTE_EXCLUSIVE) !== 0 && this.#isHugePinned(head)) {
      const copy = this.#frames.allocHuge();
      this.#frames.copy(head, copy, LEAF_PAGES);
      child.table.setHuge(start, copy, PTE_EXCLUSIVE);
      return;
    }
    this.table.setHuge(start, head, 0);
    child.table.setHuge(start, head, 0);
    for (let i = 0; i < LEAF_PAGES; i++) this.#frames.get(head + i);
  }

  #isHugePinned(head: number): boolean {
    for (let i = 0; i < LEAF_PAGES; i++) {
      if (this.#frames.pins(head + i) > 0) return true;
    }
    return false;
  }

  /** As {@link makeExclusive}, the whole huge page at once (Linux: hugetlb_wp). */
  #makeHugeExclusive(vma: Vma, page: number): number {
    const within = page % LEAF_PAGES;
    const start = page - within;
    const pte = this.table.get(start);
    const shared = pte >> PTE_PFN_SHIFT;
    if ((pte & PTE_EXCLUSIVE) !== 0) return shared + within;
    if (pte !== 0 && this.#frames.refcount[shared] === 1) {
      this.table.setHuge(start, shared, PTE_EXCLUSIVE);
      return shared + within;
    }
    const source = pte !== 0 ? shared : objectFrame(vma, start);
    const head = this.#frames.allocHuge();
    if (source !== 0) this.#frames.copy(source, head, LEAF_PAGES);
    this.table.setHuge(start, head, PTE_EXCLUSIVE);
    if (pte !== 0) {
      for (let i = 0; i < LEAF_PAGES; i++) this.#frames.put(shared + i);
    }
    return head + within;
  }
}

/** The frame that a mapping's object has for page `page`; 0 for none. Throws EFAULT beyond the end. */
function objectFrame(vma: Vma, page: number): number {
  return vma.object?.present(vma.objectIndex(page)) ?? 0;
}
