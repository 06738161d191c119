// SPDX-License-Identifier: GPL-2.0-only

/**
 * Domains join and leave an IO page table. Linux: io_pagetable.c,
 * iopt_table_add_domain and iopt_table_remove_domain.
 *
 * @module
 */

import type { Domain } from "../../iommu/domain.ts";
import { U64_MAX } from "../../lib/u64.ts";
import { XarrayNodes } from "../../lib/xarray_nodes.ts";
import { EEXIST, EINVAL } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import { checkIovaAlignment, smallestPageSize } from "./alignment.ts";
import type { IoptArea } from "../pages/area.ts";
import { PfnReader } from "../pages/pfn_reader.ts";
import { Unmapper } from "../pages/unmapper.ts";
import type { IoPagetable } from "./io_pagetable.ts";

/**
 * Fills a domain with all areas and keeps it filled from now on. Throws
 * EEXIST if it is there already, EINVAL if its smallest page is larger than
 * a CPU page, EADDRINUSE if an area is misaligned or outside of its aperture,
 * EFAULT and ENOMEM for pages that cannot be pinned; the domain is then empty
 * and nothing has changed.
 */
export function addDomain(iopt: IoPagetable, domain: Domain): void {
  if (
    iopt.kernel.warnings.on(
      iopt.domainIds.has(domain),
      "iopt_table_add_domain: the domain is there already",
    )
  ) throw EEXIST;
  const alignment = smallestPageSize(domain.pgsizeBitmap);
  if (alignment > PAGE_SIZE) {
    throw EINVAL.because("the domain's smallest page is larger than a page");
  }
  checkIovaAlignment(iopt, alignment);
  try {
    if (domain.apertureStart !== 0n) {
      iopt.reserveIova(0n, domain.apertureStart - 1n, domain);
    }
    if (domain.apertureEnd !== U64_MAX) {
      iopt.reserveIova(domain.apertureEnd + 1n, U64_MAX, domain);
    }
    const { length } = iopt.domains;
    iopt.kernel.allocNodes(
      () =>
        XarrayNodes.of(iopt.domains.keys(), {
          rootHoldsEntry: iopt.domainInRoot,
        }),
      length,
      length,
    );
    fillAreas(iopt, domain);
  } catch (error) {
    iopt.removeReservedIova(domain);
    throw error;
  }
  iopt.alignment.add(alignment);
  iopt.domainIds.set(domain, iopt.domains.push(domain) - 1);
}

/** Linux: iopt_fill_domain. */
function fillAreas(iopt: IoPagetable, domain: Domain): void {
  let failed: IoptArea | undefined;
  const reader = new PfnReader(iopt.kernel);
  try {
    for (const area of iopt.areas) {
      if (!area.pages) continue;
      failed = area;
      area.pages.source.filling.fillDomain(area, domain, reader);
      if (!area.storageDomain) setStorage(area, domain);
    }
  } catch (error) {
    const wasFirst = iopt.domains.length === 0;
    iopt.domainInRoot = !wasFirst;
    using unmapper = new Unmapper(iopt.kernel);
    for (const area of iopt.areas) {
      if (area === failed) break;
      if (!area.pages) continue;
      if (wasFirst) clearStorage(area);
      area.pages.source.filling.unfillDomain(
        area,
        area.pages,
        domain,
        unmapper,
      );
    }
    throw error;
  } finally {
    reader[Symbol.dispose]();
  }
}

function setStorage(area: IoptArea, domain: Domain): void {
  area.storageDomain = domain;
  area.pages!.domainsTree.insert(area);
}

function clearStorage(area: IoptArea): void {
  area.pages!.domainsTree.remove(area);
  area.storageDomain = null;
}

/** Empties a domain and forgets it; the alignment that is demanded may fall. */
export function removeDomain(iopt: IoPagetable, domain: Domain): void {
  const { domains, domainIds } = iopt;
  const { warnings } = iopt.kernel;
  const id = domainIds.get(domain);
  warnings.on(
    id === undefined,
    "iopt_table_remove_domain: the domain is not there",
  );
  if (id === undefined) return;
  // The last domain takes the free place, so that ids stay without gaps.
  const tail = domains.pop()!;
  domainIds.delete(domain);
  if (tail !== domain) {
    domains[id] = tail;
    domainIds.set(tail, id);
  }
  iopt.domainInRoot = domains.length > 0;

  const remaining = domains[0];
  const unmapper = new Unmapper(iopt.kernel);
  for (const area of iopt.areas) {
    const { pages } = area;
    if (!pages) continue;
    const { filling } = pages.source;
    if (remaining) {
      warnings.on(
        !area.storageDomain,
        "iopt_unfill_domain: an area has no storage",
      );
      if (area.storageDomain === domain) area.storageDomain = remaining;
      filling.unmapDomain(area, domain);
    } else {
      warnings.on(
        area.storageDomain !== domain,
        "iopt_unfill_domain: another domain is the storage",
      );
      clearStorage(area);
      filling.unfillDomain(area, pages, domain, unmapper);
    }
  }
  unmapper[Symbol.dispose]();
  iopt.removeReservedIova(domain);
  iopt.alignment.remove(smallestPageSize(domain.pgsizeBitmap));
}
