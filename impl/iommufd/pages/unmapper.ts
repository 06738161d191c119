// SPDX-License-Identifier: GPL-2.0-only

/**
 * Takes the pages of areas out of their last domain. Linux: pages.c,
 * iopt_area_unpin_domain.
 *
 * @module
 */

import type { Domain } from "../../iommu/domain.ts";
import type { KernelCore } from "../../kernel/core.ts";
import { max, type PageIndex, plus } from "../../lib/brands.ts";
import type { DoubleSpanIterator } from "../../lib/span_iterator.ts";
import type { IoptArea } from "./area.ts";
import type { IoptPages } from "./pages.ts";
import { iommuUnmapNofail, PfnBatch } from "./pfn_batch.ts";

/** Unmaps the pages `first` to `last` of an area from a domain (Linux: iopt_area_unmap_domain_range). */
export function unmapPages(
  area: IoptArea,
  domain: Domain,
  first: PageIndex,
  last: PageIndex,
): void {
  const iova = area.indexToIova(first);
  iommuUnmapNofail(domain, iova, area.indexToIovaEnd(last) - iova);
}

/**
 * Unmaps an area front to back, reading the frames from the domain first.
 *
 * Pages before `unmappedEnd` are unmapped. Where a run of frames goes on
 * behind the pages to unpin, all of it is unmapped and the rest stays in the
 * batch, carried over to the next call. It does one area after the other: a
 * call that goes over all areas has one. Whoever creates one disposes it.
 */
export class Unmapper implements Disposable {
  /** Page index after the last one unmapped. */
  #unmappedEnd = 0 as PageIndex;
  /** Frames that were unmapped but not yet unpinned. */
  readonly #batch: PfnBatch;
  #area!: IoptArea;
  #pages!: IoptPages;
  #domain!: Domain;
  #last = 0 as PageIndex;
  #span!: DoubleSpanIterator<PageIndex>;

  /** It has unmapped nothing yet. */
  constructor(kernel: KernelCore) {
    this.#batch = new PfnBatch(kernel);
  }

  /** Frees what it reads into. */
  [Symbol.dispose](): void {
    this.#batch[Symbol.dispose]();
  }

  /** Unmaps the pages of an area up to `last` from its last domain, and unpins what no access holds. */
  unmap(
    area: IoptArea,
    pages: IoptPages,
    domain: Domain,
    last: PageIndex,
  ): void {
    this.#area = area;
    this.#pages = pages;
    this.#domain = domain;
    this.#last = last;
    this.#unmappedEnd = area.index;
    this.#batch.allocNofail(last + 1);
    const span = this.#span = pages.spans(area.index, last, this.#span);
    for (; !span.done; span.next()) {
      if (span.isUsed) this.#batch.skipCarry(span.last - span.start + 1);
      else this.#unpin(span.start, span.last);
    }
    // The tail may still be held by an access: then it is unmapped without unpinning.
    if (this.#unmappedEnd !== last + 1) {
      unmapPages(area, domain, this.#unmappedEnd, last);
    }
    pages.kernel.warnings.on(
      this.#batch.totalPfns !== 0,
      "iopt_area_unfill_domain: pages left in the batch",
    );
  }

  /** Unmaps and unpins the pages `first` to `last` (Linux: iopt_area_unpin_domain). */
  #unpin(first: PageIndex, last: PageIndex): void {
    const batch = this.#batch;
    const { warnings } = this.#pages.kernel;
    let start = first;
    while (start <= last) {
      const batchLast = this.#read(start, last);
      warnings.on(
        batchLast > this.#last,
        "iopt_area_unpin_domain: past the end",
      );
      if (this.#unmappedEnd <= batchLast) {
        this.#readToCut(batchLast, last);
        const end = plus(start, batch.totalPfns);
        unmapPages(this.#area, this.#domain, this.#unmappedEnd, plus(end, -1));
        this.#unmappedEnd = end;
      }
      batch.unpin(this.#pages, 0, batchLast - start + 1);
      start = plus(batchLast, 1);
      batch.clearCarry(this.#unmappedEnd - start);
    }
  }

  /**
   * Reads on to where the frames stop being contiguous: only there may the unmap
   * cut. (Linux: batch_from_domain_continue, also where all that goes on was
   * unmapped before: the mock of 6.12 warns of that.)
   */
  #readToCut(batchLast: PageIndex, last: PageIndex): void {
    if (batchLast !== last || last === this.#last) return;
    const batch = this.#batch;
    const next = plus(last, 1);
    batch.fromDomain(this.#domain, this.#area, next, this.#last, batch.end);
  }

  /** Reads frames on from what is carried; returns the last page index in the batch, at most `last`. */
  #read(start: PageIndex, last: PageIndex): PageIndex {
    if (this.#unmappedEnd > last) return last;
    const batch = this.#batch;
    const from = max(start, this.#unmappedEnd);
    this.#pages.kernel.warnings.on(
      batch.totalPfns !== 0 && from - batch.totalPfns !== start,
      "iopt_area_unpin_domain: the carried pages are not at the front",
    );
    batch.fromDomain(this.#domain, this.#area, from, last);
    return plus(start, batch.totalPfns - 1);
  }
}
