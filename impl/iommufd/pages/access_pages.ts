// SPDX-License-Identifier: GPL-2.0-only

/**
 * In-kernel access to the pages of areas: pinning them for a driver, and
 * copying to and from them. Linux: pages.c, iopt_area_add_access,
 * iopt_pages_fill_xarray, iopt_pages_rw_access.
 *
 * @module
 */

import { min, type PageIndex, plus } from "../../lib/brands.ts";
import { partOf } from "../../lib/bytes.ts";
import { XarrayNodes } from "../../lib/xarray_nodes.ts";
import { EINVAL } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import { updatePinned, updateUnpinned } from "./accounting.ts";
import type { IoptArea } from "./area.ts";
import { IN_ACCESS, IN_DOMAIN, type IoptPages, PagesAccess } from "./pages.ts";
import { PfnBatch, readDomainPfns, readStoredPfns } from "./pfn_batch.ts";
import { PfnPinner } from "./pfn_pinner.ts";
import { PfnReader } from "./pfn_reader.ts";
import { IOMMUFD_ACCESS_RW_WRITE } from "./source.ts";

const NO_FRAMES = EINVAL.because("it is memory of a device, for devices only");

/** The pages from one index to another, inclusive. */
export interface PageRange {
  /** The first one. */
  readonly first: PageIndex;
  /** The last one. */
  readonly last: PageIndex;
}

/**
 * Pins the pages `first` to `last` of an area for a driver and stores their
 * frames in `out` from `at` on. Undone by `removeAccess` with the same range.
 * Throws EINVAL for memory of a device and for files that lack pages, EFAULT,
 * ENOMEM. Linux: iopt_area_add_access.
 */
export function addAccess(
  area: IoptArea,
  range: PageRange,
  out: Int32Array,
  at: number,
): void {
  const { first, last } = range;
  const pages = area.pages!;
  if (pages.source.frames === undefined) throw NO_FRAMES;
  const same = pages.accessTree.find(first, last);
  if (same) {
    same.users++;
    area.numAccesses++;
    readStoredPfns(pages, first, last - first + 1, out, at);
    return;
  }
  pages.kernel.step("access.area");
  fillStore(pages, first, last, out, at);
  area.numAccesses++;
  pages.insertAccess(new PagesAccess(first, last));
}

/**
 * Gives back what `addAccess` pinned; the driver no longer touches the pages
 * (Linux: iopt_area_remove_access).
 */
export function removeAccess(
  area: IoptArea,
  range: PageRange,
): void {
  const pages = area.pages!;
  const { warnings } = pages.kernel;
  const access = pages.accessTree.find(range.first, range.last);
  if (warnings.on(!access, "iopt_area_remove_access: no such access")) return;
  warnings.on(
    area.numAccesses === 0,
    "iopt_area_remove_access: the area has no accesses",
  );
  area.numAccesses--;
  if (--access!.users > 0) return;
  pages.accessTree.remove(access!);
  unfillStore(pages, range.first, range.last);
}

/**
 * Makes `pinnedPfns` hold the pages `first` to `last`, taking them from
 * whatever place has them, and copies them to `out`. On failure the store is
 * as before. Linux: iopt_pages_fill_xarray.
 */
function fillStore(
  pages: IoptPages,
  first: PageIndex,
  last: PageIndex,
  out: Int32Array,
  at: number,
): void {
  const pinner = new PfnPinner();
  pinner.start(pages);
  let stored = first;
  try {
    const span = pages.spans(first, last);
    for (; !span.done; span.next()) {
      const cur = at + span.start - first;
      if (span.isUsed === IN_ACCESS) {
        const npages = span.last - span.start + 1;
        readStoredPfns(pages, span.start, npages, out, cur);
        continue;
      }
      if (span.isUsed === IN_DOMAIN) {
        fillFromDomains(pages, span.start, span.last, out, cur);
        storePfns(pages, span.start, span.last, out, cur);
      } else {
        fillFromSource(pages, pinner, span.start, span.last, out, cur);
      }
      stored = plus(span.last, 1);
    }
    updatePinned(pages);
  } catch (error) {
    if (stored !== first) unfillStore(pages, first, plus(stored, -1));
    throw error;
  } finally {
    pinner[Symbol.dispose]();
  }
}

/** Linux: iopt_pages_fill_from_domain. */
function fillFromDomains(
  pages: IoptPages,
  first: PageIndex,
  last: PageIndex,
  out: Int32Array,
  at: number,
): void {
  let index = first;
  while (index <= last) {
    const area = pages.domainsTree.first(index, index)!;
    const end = min(area.lastIndex, last);
    const npages = end - index + 1;
    readDomainPfns(
      area.storageDomain!,
      area,
      index,
      npages,
      out,
      at + index - first,
    );
    index = plus(end, 1);
  }
}

/** Pins the pages `first` to `last` and stores them (Linux: iopt_pages_fill_from_mm). */
function fillFromSource(
  pages: IoptPages,
  pinner: PfnPinner,
  first: PageIndex,
  last: PageIndex,
  out: Int32Array,
  at: number,
): void {
  let index = first;
  try {
    while (index <= last) {
      const pinned = pinner.pinInto(out, at + index - first, index, last);
      index = plus(index, pinned);
    }
    storePfns(pages, first, last, out, at);
  } catch (error) {
    pages.kernel.frames.unpin(out, at, index - first);
    pages.subNpinned(index - first);
    throw error;
  }
}

/** Puts frames into `pinnedPfns`; on failure none stays there (Linux: pages_to_xarray). */
function storePfns(
  pages: IoptPages,
  first: PageIndex,
  last: PageIndex,
  pfns: Int32Array,
  at: number,
): void {
  const { kernel, pinnedPfns } = pages;
  const count = last - first + 1;
  const half = first + Math.floor(count / 2);
  const nodes = kernel.injectsFaults
    ? XarrayNodes.ofArray(pinnedPfns)
    : undefined;
  if (nodes && half > first) kernel.allocNodes(() => nodes, first, half - 1);
  kernel.step("pages.store");
  if (nodes) kernel.allocNodes(() => nodes, half, last);
  const old = pinnedPfns.storeFrom(first, count, pfns, at, 1);
  kernel.warnings.on(old > 0, "pages_to_xarray: a frame was stored");
}

/**
 * Takes the pages `first` to `last`, whose access is out of the tree, out of
 * `pinnedPfns` and unpins those that nothing else covers. Linux:
 * iopt_pages_unfill_xarray.
 */
function unfillStore(
  pages: IoptPages,
  first: PageIndex,
  last: PageIndex,
): void {
  const { kernel, pinnedPfns } = pages;
  const batch = new PfnBatch(kernel);
  const span = pages.spans(first, last);
  for (; !span.done; span.next()) {
    if (span.isUsed === IN_ACCESS) continue;
    if (span.isUsed === IN_DOMAIN) {
      pinnedPfns.clearRange(span.start, span.last);
      continue;
    }
    if (batch.capacity === 0) batch.allocNofail(last - first + 1);
    for (let index = span.start; index <= span.last;) {
      batch.fromStoreClear(pages, index, span.last);
      batch.unpin(pages, 0, batch.totalPfns);
      index = plus(index, batch.totalPfns);
      batch.clear();
    }
  }
  batch[Symbol.dispose]();
  updateUnpinned(pages);
}

/**
 * Copies between `data` and the pages, from byte `offset` of page `index` on.
 * Throws as `addAccess`; what was copied before stays copied. Linux:
 * iopt_pages_rw_access.
 */
export function rwAccess(
  pages: IoptPages,
  index: PageIndex,
  offset: number,
  data: Uint8Array,
  flags: number,
): void {
  const write = (flags & IOMMUFD_ACCESS_RW_WRITE) !== 0;
  const { frames } = pages.source;
  if (frames === undefined) throw NO_FRAMES;
  if (frames.copy(pages.firstPage + index, offset, data, flags)) return;
  rwSlow(pages, index, offset, data, write);
}

/**
 * Copies through pins of the pages: the only way that sees exactly what a
 * domain sees. Linux: iopt_pages_rw_slow.
 */
function rwSlow(
  pages: IoptPages,
  index: PageIndex,
  offset: number,
  data: Uint8Array,
  write: boolean,
): void {
  const npages = Math.floor((offset + data.length - 1) / PAGE_SIZE);
  const last = plus(index, npages);
  const reader = new PfnReader(pages.kernel);
  reader.start(pages, index, last);
  try {
    let copied = 0;
    while (!reader.done) {
      copied += reader.batch.rw(
        partOf(data, copied, data.length),
        copied === 0 ? offset : 0,
        write,
      );
      reader.unpin();
      reader.next();
    }
  } finally {
    reader.stop();
    reader[Symbol.dispose]();
  }
}
