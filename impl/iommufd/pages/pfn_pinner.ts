// SPDX-License-Identifier: GPL-2.0-only

/**
 * Pins pages piece by piece. Linux: pages.c, struct pfn_reader_user.
 *
 * @module
 */

import { min, type PageIndex, plus } from "../../lib/brands.ts";
import { expandRuns, type FrameList } from "../../lib/frame_list.ts";
import type { IoptPages } from "./pages.ts";
import { type PfnBatch, tempAlloc } from "./pfn_batch.ts";

/** Bytes of one entry of Linux's buffer: a pointer to a struct page. */
const PAGE_POINTER_SIZE = 8;

/** The pages pinned last, as long as nothing else knows of them. Whoever creates one disposes it. */
export class PfnPinner implements Disposable {
  #pages!: IoptPages;
  /** Pages that fit into Linux's buffer; 0 before it is allocated. */
  #capacity = 0;
  /** The frames of the pages pinned last. */
  #list: FrameList | undefined;
  /** The first run that nothing else knows of. */
  #next = 0;
  /** Pages in that and the following runs. */
  #left = 0;

  /** Pins pages of `pages` from now on; nothing is left of what it pinned before. */
  start(pages: IoptPages): void {
    this.#pages = pages;
    this.#capacity = 0;
  }

  /**
   * Adds pages from index `first` on to a batch, at most to `last`. If it has
   * none pinned it pins some, at least one and as many as Linux's buffer
   * holds: in the batch itself, where that is empty and they all fit. Throws
   * as `FrameSource.pin`. Linux: pfn_reader_user_pin, batch_from_pages.
   */
  addTo(batch: PfnBatch, first: PageIndex, last: PageIndex): void {
    if (this.#left === 0) {
      const end = this.#limit(first, last);
      const npages = end - first + 1;
      if (batch.end === 0 && npages <= batch.capacity) {
        batch.totalPfns = this.#pin(first, npages, batch);
        return;
      }
      this.#left = this.#pin(first, npages, this.#emptyList(npages));
    }
    const before = batch.totalPfns;
    this.#next += batch.addRuns(this.#list!, this.#next);
    this.#left -= batch.totalPfns - before;
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
    const end = listsFolios ? this.#limit(first, last) : last;
    const npages = end - first + 1;
    const list = this.#emptyList(npages);
    this.#pin(first, npages, list);
    return expandRuns(list, out, at);
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

  #pin(first: PageIndex, npages: number, list: FrameList): number {
    const pages = this.#pages;
    const from = pages.firstPage + first;
    const pinned = pages.source.frames!.pin(from, npages, list);
    pages.addNpinned(pinned);
    return pinned;
  }

  /** The list, emptied, with room for `runs` runs. */
  #emptyList(runs: number): FrameList {
    if (this.#list === undefined || this.#list.pfns.length < runs) {
      this[Symbol.dispose]();
      this.#list = this.#pages.kernel.tempBuffers.takeList(runs);
    }
    this.#list.end = 0;
    this.#next = 0;
    return this.#list;
  }

  /** Unpins the pages that nothing else knows of, not marking them dirty: nothing was done with them. */
  unpinRest(): void {
    if (this.#left === 0) return;
    const list = this.#list!;
    this.#pages.kernel.frames.unpinRuns(list, this.#next, list.end);
    this.#pages.subNpinned(this.#left);
    this.#left = 0;
  }

  /** Frees the buffer (Linux: pfn_reader_user_destroy). */
  [Symbol.dispose](): void {
    if (this.#list === undefined) return;
    this.#pages.kernel.tempBuffers.giveList(this.#list);
    this.#list = undefined;
  }
}
