// SPDX-License-Identifier: GPL-2.0-only

/**
 * Puts the pages of areas into domains, and takes them out again. Linux:
 * pages.c, iopt_area_fill_domain and its relatives.
 *
 * Two rules shape the unmapping. A page is unpinned only after it is unmapped,
 * or a device could reach memory that belongs to somebody else by then. And
 * an unmap cuts only where a map ended, since a driver need not be able to
 * split what it mapped in one call.
 *
 * @module
 */

import type { Domain } from "../../iommu/domain.ts";
import { max, type PageIndex, plus } from "../../lib/brands.ts";
import { updatePinned, updateUnpinned } from "./accounting.ts";
import type { IoptArea } from "./area.ts";
import type { IoptPages } from "./pages.ts";
import { iommuUnmapNofail, PfnBatch } from "./pfn_batch.ts";
import { PfnReader } from "./pfn_reader.ts";
import type { Filling } from "./source.ts";

/**
 * Maps a new area into all domains of its IO page table; without domains
 * nothing happens, not even a pin. On success the area's first domain becomes
 * its storage. Throws as {@link Filling}. Linux: iopt_area_fill_domains.
 */
export function fillDomains(area: IoptArea, pages: IoptPages): void {
  const [storage] = area.iopt.domains;
  if (storage === undefined) return;
  pages.source.filling.fillDomains(area, pages);
  area.storageDomain = storage;
  pages.domainsTree.insert(area);
}

/**
 * Unmaps an area that is being destroyed from all domains and unpins what no
 * access holds (Linux: iopt_area_unfill_domains).
 */
export function unfillDomains(area: IoptArea, pages: IoptPages): void {
  const storage = area.storageDomain;
  if (!storage) return;
  const { filling } = pages.source;
  for (const domain of area.iopt.domains) {
    if (domain !== storage) filling.unmapDomain(area, domain);
  }
  pages.domainsTree.remove(area);
  filling.unfillDomain(area, pages, storage);
  area.storageDomain = null;
}

/** Domains are filled with frames that are pinned for them, once for all of them. */
export const PINNED_FILLING: Filling = {
  domainProt: (prot) => prot,
  fillDomain,
  fillDomains: fillAllDomains,
  unmapDomain,
  unfillDomain,
};

/** Linux: iopt_area_fill_domain. */
function fillDomain(area: IoptArea, domain: Domain): void {
  const pages = area.pages!;
  const reader = new PfnReader(pages, area.index, area.lastIndex);
  let doneEnd = area.index;
  try {
    while (!reader.done) {
      reader.batch.toDomain(domain, area, reader.batchStart);
      doneEnd = reader.batchEnd;
      reader.next();
    }
    updatePinned(pages);
  } catch (error) {
    reader.releasePins();
    unfillPartialDomain(area, pages, domain, doneEnd);
    throw error;
  } finally {
    reader.destroy();
  }
}

/** Linux: iopt_area_fill_domains. */
function fillAllDomains(area: IoptArea, pages: IoptPages): void {
  const { domains } = area.iopt;
  const reader = new PfnReader(pages, area.index, area.lastIndex);
  // Domains before `failed` hold the pages up to firstEnd, the others up to allEnd.
  let firstEnd = area.index;
  let allEnd = area.index;
  let failed = 0;
  try {
    while (!reader.done) {
      firstEnd = reader.batchEnd;
      allEnd = reader.batchStart;
      for (failed = 0; failed < domains.length; failed++) {
        reader.batch.toDomain(domains[failed]!, area, reader.batchStart);
      }
      allEnd = firstEnd;
      reader.next();
    }
    updatePinned(pages);
  } catch (error) {
    reader.releasePins();
    domains.forEach((domain, i) => {
      const end = i < failed ? firstEnd : allEnd;
      if (i === domains.length - 1) {
        unfillPartialDomain(area, pages, domain, end);
      } else if (end !== area.index) {
        unmapDomain(area, domain, area.index, plus(end, -1));
      }
    });
    throw error;
  } finally {
    reader.destroy();
  }
}

/** Undoes a fill that reached page index `end` exclusive. */
function unfillPartialDomain(
  area: IoptArea,
  pages: IoptPages,
  domain: Domain,
  end: PageIndex,
): void {
  if (end !== area.index) unfillDomain(area, pages, domain, plus(end, -1));
}

/**
 * Unmaps an area, or its pages `first` to `last`, from a domain while others
 * keep its pages (Linux: iopt_area_unmap_domain, iopt_area_unmap_domain_range).
 */
function unmapDomain(
  area: IoptArea,
  domain: Domain,
  first: PageIndex = area.index,
  last: PageIndex = area.lastIndex,
): void {
  const iova = area.indexToIova(first);
  iommuUnmapNofail(domain, iova, area.indexToIovaEnd(last) - iova);
}

/**
 * Unmaps an area, or its pages up to index `last`, from its last domain and
 * unpins what no access holds. The area must be out of `domainsTree`. Linux:
 * iopt_area_unfill_domain, __iopt_area_unfill_domain.
 */
function unfillDomain(
  area: IoptArea,
  pages: IoptPages,
  domain: Domain,
  last: PageIndex = area.lastIndex,
): void {
  const unmapper = new Unmapper(area, pages, domain, last);
  const span = pages.spans(area.index, last);
  for (; !span.done; span.next()) {
    if (span.isUsed) unmapper.batch.skipCarry(span.last - span.start + 1);
    else unmapper.unpin(span.start, span.last);
  }
  // The tail may still be held by an access: then it is unmapped without unpinning.
  if (unmapper.unmappedEnd !== last + 1) {
    unmapDomain(area, domain, unmapper.unmappedEnd, last);
  }
  pages.kernel.warnings.on(
    unmapper.batch.totalPfns !== 0,
    "iopt_area_unfill_domain: pages left in the batch",
  );
  unmapper.batch.release();
  updateUnpinned(pages);
}

/**
 * Unmaps an area front to back, reading the frames from the domain first.
 *
 * Pages before `unmappedEnd` are unmapped. Where a run of frames goes on
 * behind the pages to unpin, all of it is unmapped and the rest stays in the
 * batch, carried over to the next call.
 */
class Unmapper {
  /** Page index after the last one unmapped. */
  unmappedEnd: PageIndex;
  /** Frames that were unmapped but not yet unpinned. */
  readonly batch: PfnBatch;
  readonly #area: IoptArea;
  readonly #pages: IoptPages;
  readonly #domain: Domain;
  readonly #last: PageIndex;

  constructor(
    area: IoptArea,
    pages: IoptPages,
    domain: Domain,
    last: PageIndex,
  ) {
    this.#area = area;
    this.#pages = pages;
    this.#domain = domain;
    this.#last = last;
    this.unmappedEnd = area.index;
    this.batch = PfnBatch.createNofail(pages.kernel, last + 1);
  }

  /** Unmaps and unpins the pages `first` to `last` (Linux: iopt_area_unpin_domain). */
  unpin(first: PageIndex, last: PageIndex): void {
    const { batch } = this;
    const { warnings } = this.#pages.kernel;
    let start = first;
    while (start <= last) {
      const batchLast = this.#read(start, last);
      warnings.on(
        batchLast > this.#last,
        "iopt_area_unpin_domain: past the end",
      );
      if (this.unmappedEnd <= batchLast) {
        this.#readToCut(batchLast, last);
        const end = plus(start, batch.totalPfns);
        unmapDomain(this.#area, this.#domain, this.unmappedEnd, plus(end, -1));
        this.unmappedEnd = end;
      }
      batch.unpin(this.#pages, 0, batchLast - start + 1);
      start = plus(batchLast, 1);
      batch.clearCarry(this.unmappedEnd - start);
    }
  }

  /**
   * Reads on to where the frames stop being contiguous: only there may the unmap
   * cut. (Linux: batch_from_domain_continue, also where all that goes on was
   * unmapped before: the mock of 6.12 warns of that.)
   */
  #readToCut(batchLast: PageIndex, last: PageIndex): void {
    if (batchLast !== last || last === this.#last) return;
    const { batch } = this;
    const next = plus(last, 1);
    batch.fromDomain(this.#domain, this.#area, next, this.#last, batch.end);
  }

  /** Reads frames on from what is carried; returns the last page index in the batch, at most `last`. */
  #read(start: PageIndex, last: PageIndex): PageIndex {
    if (this.unmappedEnd > last) return last;
    const { batch } = this;
    const from = max(start, this.unmappedEnd);
    this.#pages.kernel.warnings.on(
      batch.totalPfns !== 0 && from - batch.totalPfns !== start,
      "iopt_area_unpin_domain: the carried pages are not at the front",
    );
    batch.fromDomain(this.#domain, this.#area, from, last);
    return plus(start, batch.totalPfns - 1);
  }
}
