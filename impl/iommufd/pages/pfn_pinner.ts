// SPDX-License-Identifier: GPL-2.0-only

/**
 * Pins user pages piece by piece. Linux: pages.c, struct pfn_reader_user.
 *
 * @module
 */

import type { KernelCore } from "../../kernel/core.ts";
import {
  FOLL_FORCE,
  FOLL_LONGTERM,
  FOLL_REMOTE,
  FOLL_WRITE,
} from "../../kernel/interfaces/mm.ts";
import { EFAULT, EOVERFLOW } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import type { IoptPages } from "./pages.ts";
import { tempAlloc } from "./pfn_batch.ts";

/** Bytes of one entry of Linux's buffer: a pointer to a struct page. */
const PAGE_POINTER_SIZE = 8;

/**
 * The pages pinned last, which nothing else knows of yet: the frames of page
 * indexes `start` up to `end` exclusive are `pfns[0]` and following.
 */
export class PfnPinner {
  /** First page index in the buffer. */
  start = 0;
  /** Page index after the last one in the buffer. */
  end = 0;
  /** Frames in the buffer. */
  pfns: Int32Array | undefined;
  readonly #pages: IoptPages;
  readonly #gupFlags: number;
  /** Pages that fit into the buffer. */
  #capacity = 0;

  /** Pins pages of `pages`. */
  constructor(pages: IoptPages) {
    this.#pages = pages;
    this.#gupFlags = gupFlags(pages);
  }

  /**
   * Pins pages from index `first` on, at most to `last` and as many as the
   * buffer holds; at least one. Throws EFAULT for bad or vanished memory,
   * EOVERFLOW for the last page of all, ENOMEM. Linux: pfn_reader_user_pin.
   */
  pin(first: number, last: number): void {
    if (!this.pfns) {
      const { kernel } = this.#pages;
      const npages = last - first + 1;
      this.#capacity = tempAlloc(kernel, npages, PAGE_POINTER_SIZE);
      this.pfns = kernel.tempBuffers.take(this.#capacity);
    }
    const most = Math.min(last, first + this.#capacity - 1);
    const pinned = this.pinInto(this.pfns, 0, first, most);
    this.start = first;
    this.end = first + pinned;
  }

  /**
   * Pins pages from index `first` on, at most to `last`, into `out` from `at`
   * on; returns how many. Throws as `pin`.
   */
  pinInto(out: Int32Array, at: number, first: number, last: number): number {
    const pages = this.#pages;
    const { kernel, sourceMm: mm } = pages;
    const uaddr = pages.userAddress(first);
    const npages = last - first + 1;
    const remote = mm !== kernel.current?.mm;
    if (remote && !mm.alive) throw EFAULT;
    kernel.step("pages.pin");
    if (!remote) checkGupRange(kernel, uaddr, npages);
    const gupFlags = this.#gupFlags | (remote ? FOLL_REMOTE : 0);
    const pinned = mm.pinUserPages(uaddr, npages, gupFlags, out, at);
    pages.addNpinned(pinned);
    return pinned;
  }

  /** Unpins what is in the buffer from index `first` on. */
  unpinFrom(first: number): void {
    if (this.end <= first) return;
    unpinPfns(this.#pages, this.pfns!, first - this.start, this.end - first);
    this.end = first;
  }

  /** Frees the buffer (Linux: pfn_reader_user_destroy). */
  release(): void {
    if (this.pfns) this.#pages.kernel.tempBuffers.give(this.pfns);
    this.pfns = undefined;
  }
}

/** Throws the errno of pages at the very end of the address space (Linux: gup_fast_fallback). */
export function checkGupRange(
  kernel: KernelCore,
  uaddr: number,
  npages: number,
): void {
  if (!kernel.revision.pages.pinChecksOverflow) return;
  if (uaddr + npages * PAGE_SIZE >= 2 ** 64) throw EOVERFLOW;
}

/** Unpins `npages` frames from `pfns[at]` on, not marking them dirty: nothing was done with them. */
export function unpinPfns(
  pages: IoptPages,
  pfns: Int32Array,
  at: number,
  npages: number,
): void {
  pages.kernel.frames.unpin(pfns, at, npages);
  pages.subNpinned(npages);
}

/** Linux: pfn_reader_user_init. */
function gupFlags(pages: IoptPages): number {
  if (pages.writable) return FOLL_LONGTERM | FOLL_WRITE;
  if (!pages.kernel.revision.pages.readPinsForceWrite) return FOLL_LONGTERM;
  return FOLL_LONGTERM | FOLL_FORCE | FOLL_WRITE;
}
