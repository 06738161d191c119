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
import { type PageIndex, plus } from "../../lib/brands.ts";
import type { IoPagetable } from "../ioas/io_pagetable.ts";
import { updatePinned, updateUnpinned } from "./accounting.ts";
import type { IoptArea } from "./area.ts";
import type { IoptPages } from "./pages.ts";
import type { PagesListElement } from "./pages_list.ts";
import { PfnReader } from "./pfn_reader.ts";
import type { Filling } from "./source.ts";
import { unmapPages, Unmapper } from "./unmapper.ts";

/**
 * Maps new areas into all domains of their IO page table; without domains
 * nothing happens, not even a pin. On success the first domain becomes the
 * storage of the areas. Throws as {@link Filling}, with nothing mapped. Linux:
 * iopt_fill_domains_pages.
 */
export function fillDomains(
  iopt: IoPagetable,
  elements: readonly PagesListElement[],
): void {
  const [storage] = iopt.domains;
  if (storage === undefined) return;
  const reader = new PfnReader(iopt.kernel);
  let filled = 0;
  try {
    for (; filled < elements.length; filled++) {
      const area = elements[filled]!.area!;
      const pages = elements[filled]!.pages!;
      pages.source.filling.fillDomains(area, pages, reader);
      area.storageDomain = storage;
      pages.domainsTree.insert(area);
    }
  } catch (error) {
    using unmapper = new Unmapper(iopt.kernel);
    for (const { area, pages } of elements.slice(0, filled)) {
      unfillDomains(area!, pages!, unmapper);
    }
    throw error;
  } finally {
    reader[Symbol.dispose]();
  }
}

/**
 * Unmaps an area that is being destroyed from all domains and unpins what no
 * access holds (Linux: iopt_area_unfill_domains).
 */
export function unfillDomains(
  area: IoptArea,
  pages: IoptPages,
  unmapper: Unmapper,
): void {
  const storage = area.storageDomain;
  if (!storage) return;
  const { filling } = pages.source;
  for (const domain of area.iopt.domains) {
    if (domain !== storage) filling.unmapDomain(area, domain);
  }
  pages.domainsTree.remove(area);
  filling.unfillDomain(area, pages, storage, unmapper);
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
function fillDomain(area: IoptArea, domain: Domain, reader: PfnReader): void {
  const pages = area.pages!;
  reader.start(pages, area.index, area.lastIndex);
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
    reader.stop();
  }
}

/** Linux: iopt_area_fill_domains. */
function fillAllDomains(
  area: IoptArea,
  pages: IoptPages,
  reader: PfnReader,
): void {
  const { domains } = area.iopt;
  reader.start(pages, area.index, area.lastIndex);
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
        unmapPages(area, domain, area.index, plus(end, -1));
      }
    });
    throw error;
  } finally {
    reader.stop();
  }
}

/** Undoes a fill that reached page index `end` exclusive. */
function unfillPartialDomain(
  area: IoptArea,
  pages: IoptPages,
  domain: Domain,
  end: PageIndex,
): void {
  if (end === area.index) return;
  using unmapper = new Unmapper(pages.kernel);
  unfillDomain(area, pages, domain, unmapper, plus(end, -1));
}

/** Unmaps an area from a domain while others keep its pages (Linux: iopt_area_unmap_domain). */
function unmapDomain(area: IoptArea, domain: Domain): void {
  unmapPages(area, domain, area.index, area.lastIndex);
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
  unmapper: Unmapper,
  last: PageIndex = area.lastIndex,
): void {
  unmapper.unmap(area, pages, domain, last);
  updateUnpinned(pages);
}
