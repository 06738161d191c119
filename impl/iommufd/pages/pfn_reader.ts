// SPDX-License-Identifier: GPL-2.0-only

/**
 * Reads the frames of a range of page indexes, a batch at a time, each from
 * the best of the three places it can be found in. Linux: pages.c, struct
 * pfn_reader.
 *
 * @module
 */

import type { KernelCore } from "../../kernel/core.ts";
import { min, type PageIndex, plus } from "../../lib/brands.ts";
import type { DoubleSpanIterator } from "../../lib/span_iterator.ts";
import { EINVAL } from "../../uapi/errno.ts";
import { IN_ACCESS, IN_DOMAIN, type IoptPages } from "./pages.ts";
import { PfnBatch } from "./pfn_batch.ts";
import { PfnPinner } from "./pfn_pinner.ts";

/**
 * The iterator. `batch` holds the frames of the page indexes `batchStart` up
 * to `batchEnd` exclusive.
 *
 * Pages that it pinned belong to it until the caller stored them somewhere and
 * called `updatePinned`; `stop` gives back what still belongs to it, and by
 * then what is pinned must be what is charged. After that it can start again,
 * with other pages: a call that goes over all areas has one reader. Whoever
 * creates one disposes it.
 */
export class PfnReader implements Disposable {
  /** The frames of the current batch. */
  readonly batch: PfnBatch;
  /** First page index of the current batch. */
  batchStart = 0 as PageIndex;
  /** Page index after the current batch. */
  batchEnd = 0 as PageIndex;
  #pages!: IoptPages;
  #lastIndex = 0 as PageIndex;
  #span!: DoubleSpanIterator<PageIndex>;
  readonly #pinner = new PfnPinner();

  /** A reader of nothing yet. */
  constructor(kernel: KernelCore) {
    this.batch = new PfnBatch(kernel);
  }

  /**
   * Reads the first batch of page indexes `start` to `last` inclusive. Throws
   * EFAULT, ENOMEM; then nothing is left behind. Linux: pfn_reader_first.
   */
  start(pages: IoptPages, start: PageIndex, last: PageIndex): void {
    this.#pages = pages;
    this.#lastIndex = last;
    this.batchStart = start;
    this.batchEnd = start;
    this.#pinner.start(pages);
    this.batch.alloc(last - start + 1);
    this.#span = pages.spans(start, last, this.#span);
    try {
      this.next();
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Whether all pages have been in a batch. */
  get done(): boolean {
    return this.batchStart === this.#lastIndex + 1;
  }

  /** Reads the next batch, as large as fits. Throws as the constructor. Linux: pfn_reader_next. */
  next(): void {
    const { batch } = this;
    batch.clear();
    this.batchStart = this.batchEnd;
    while (this.batchEnd !== this.#lastIndex + 1) {
      const before = batch.totalPfns;
      this.#fillSpan();
      this.batchEnd = plus(this.batchStart, batch.totalPfns);
      if (this.batchEnd === this.#span.last + 1) this.#span.next();
      if (batch.totalPfns === before) return;
    }
  }

  /** Adds pages of the current span to the batch (Linux: pfn_reader_fill_span). */
  #fillSpan(): void {
    const span = this.#span;
    const start = this.batchEnd;
    if (span.isUsed === IN_ACCESS) {
      this.batch.fromStore(this.#pages, start, span.last);
      return;
    }
    if (span.isUsed === IN_DOMAIN) {
      // As far as the first area reaches; the next call finds the next one.
      const area = this.#pages.domainsTree.first(start, start);
      const domain = area?.storageDomain;
      if (
        this.#pages.kernel.warnings.on(
          !domain,
          "pfn_reader_fill_span: no area holds the index",
        )
      ) throw EINVAL;
      const last = min(area!.lastIndex, span.last);
      this.batch.fromDomain(domain!, area!, start, last);
      return;
    }
    this.#pinner.addTo(this.batch, start, span.last);
  }

  /** Unpins the pages of the batch that nothing else holds (Linux: pfn_reader_unpin). */
  unpin(): void {
    const start = this.batchStart;
    const span = this.#pages.spans(start, plus(this.batchEnd, -1));
    for (; !span.done; span.next()) {
      if (span.isUsed) continue;
      this.batch.unpin(
        this.#pages,
        span.start - start,
        span.last - span.start + 1,
      );
    }
  }

  /**
   * Gives back all pins that the reader itself still holds. An error path
   * calls it before it unmaps what was already mapped, since unmapping expects
   * pins only to fall. Linux: pfn_reader_release_pins.
   */
  releasePins(): void {
    this.#pinner.unpinRest();
    if (this.batchStart === this.batchEnd) return;
    this.unpin();
    this.batchStart = this.batchEnd;
  }

  /** Ends the reading (Linux: pfn_reader_destroy). */
  stop(): void {
    this.releasePins();
    const { kernel, npinned, lastNpinned } = this.#pages;
    kernel.warnings.on(
      npinned !== lastNpinned,
      "pfn_reader_destroy: pins not charged",
    );
  }

  /** Frees what it reads into. */
  [Symbol.dispose](): void {
    this.#pinner[Symbol.dispose]();
    this.batch[Symbol.dispose]();
  }
}
