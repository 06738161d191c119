// SPDX-License-Identifier: GPL-2.0-only

/**
 * Pins pages piece by piece. Linux: pages.c, struct pfn_reader_user.
 *
 * @module
 */

import { min, type PageIndex, plus } from "../../lib/brands.ts";
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
  start = 0 as PageIndex;
  /** Page index after the last one in the buffer. */
  end = 0 as PageIndex;
  /** Frames in the buffer. */
  pfns: Int32Array | undefined;
  readonly #pages: IoptPages;
  /** Pages that fit into the buffer; 0 before it is allocated. */
  #capacity = 0;

  /** Pins pages of `pages`. */
  constructor(pages: IoptPages) {
    this.#pages = pages;
  }

  /**
   * Pins pages from index `first` on, at most to `last` and as many as the
   * buffer holds; at least one. Throws as `FrameSource.pin`. Linux:
   * pfn_reader_user_pin.
   */
  pin(first: PageIndex, last: PageIndex): void {
    const most = this.#limit(first, last);
    this.pfns ??= this.#pages.kernel.tempBuffers.take(this.#capacity);
    const pinned = this.#pin(this.pfns, 0, first, most);
    this.start = first;
    this.end = plus(first, pinned);
  }

  /**
   * Pins pages from index `first` on, at most to `last`, into `out` from `at`
   * on; returns how many. Throws as `pin`.
   */
  pinInto(
    out: Int32Array,
    at: number,
    first: PageIndex,
    last: PageIndex,
  ): number {
    const { listsFolios } = this.#pages.source.frames!;
    const most = listsFolios ? this.#limit(first, last) : last;
    return this.#pin(out, at, first, most);
  }

  /** The last page of at most as many as Linux's buffer holds, which is allocated at first. */
  #limit(first: PageIndex, last: PageIndex): PageIndex {
    const npages = last - first + 1;
    this.#capacity ||= tempAlloc(
      this.#pages.kernel,
      npages,
      PAGE_POINTER_SIZE,
    );
    return min(last, plus(first, this.#capacity - 1));
  }

  #pin(
    out: Int32Array,
    at: number,
    first: PageIndex,
    last: PageIndex,
  ): number {
    const pages = this.#pages;
    const pinned = pages.source.frames!.pin(
      pages.firstPage + first,
      last - first + 1,
      out,
      at,
    );
    pages.addNpinned(pinned);
    return pinned;
  }

  /** Unpins what is in the buffer from index `first` on. */
  unpinFrom(first: PageIndex): void {
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
