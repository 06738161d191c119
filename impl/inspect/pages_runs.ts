// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where the frames of some pages are kept, and how often each is pinned.
 *
 * @module
 */

import { readDomainPfns, readStoredPfns } from "../iommufd/pages/pfn_batch.ts";
import type { IoptPages } from "../iommufd/pages/pages.ts";
import type { IoptArea } from "../iommufd/pages/area.ts";
import { min, type PageIndex, type Pfn, plus } from "../lib/brands.ts";
import { DoubleSpanIterator } from "../lib/span_iterator.ts";
import type { Names } from "./names.ts";

/** Frame numbers that are read at once. */
const CHUNK = 4096;

/** Consecutive pages that are kept in the same place and pinned equally often. */
export interface PagesRun {
  /** Index of the first page. */
  readonly first: number;
  /** Index of the last page, inclusive. */
  last: number;
  /** Where their frame numbers are kept; the user's memory means that they are not pinned. */
  readonly place: string;
  /** Pins of each frame, by whomever. */
  readonly pins: number;
  /** Frame number of the first page, -1 if it is not pinned. */
  readonly frame: number;
  /** Into how many stretches of contiguous frames the run falls. */
  stretches: number;
  /** Frame number of the last page. */
  lastFrame: number;
}

/**
 * The runs of some pages, by index. Looking for a page goes the way of
 * iommufd: pinned_pfns while an access covers it, else the IO page table of a
 * domain, else the user's memory.
 */
export function pagesRuns(pages: IoptPages, names: Names): PagesRun[] {
  const runs: PagesRun[] = [];
  const span = new DoubleSpanIterator(
    pages.accessTree,
    pages.domainsTree,
    0 as PageIndex,
    pages.npages - 1 as PageIndex,
  );
  for (; !span.done; span.next()) {
    const { start, last } = span;
    if (span.isUsed === 1) {
      readStored(runs, pages, start, last);
    } else if (span.isUsed === 2) {
      readDomains(runs, pages, { start, last }, names);
    } else {
      const place = "user memory";
      runs.push({
        first: start,
        last,
        place,
        pins: 0,
        frame: -1,
        lastFrame: -1,
        stretches: 0,
      });
    }
  }
  return runs;
}

function readStored(
  runs: PagesRun[],
  pages: IoptPages,
  start: PageIndex,
  last: PageIndex,
): void {
  const chunk = new Int32Array(Math.min(CHUNK, last - start + 1));
  for (let index = start; index <= last;) {
    const npages = Math.min(last - index + 1, chunk.length);
    readStoredPfns(pages, index, npages, chunk, 0);
    addFrames(runs, pages, "pinned_pfns", index, chunk.subarray(0, npages));
    index = plus(index, npages);
  }
}

function readDomains(
  runs: PagesRun[],
  pages: IoptPages,
  span: { readonly start: PageIndex; readonly last: PageIndex },
  names: Names,
): void {
  for (let index = span.start; index <= span.last;) {
    const slice = pages.domainsTree.first(index, index)!;
    const last = min(slice.last, span.last);
    readDomain(runs, pages, slice.area, { start: index, last }, names);
    index = plus(last, 1);
  }
}

function readDomain(
  runs: PagesRun[],
  pages: IoptPages,
  area: IoptArea,
  { start, last }: { readonly start: PageIndex; readonly last: PageIndex },
  names: Names,
): void {
  const domain = area.storageDomain!;
  const place = names.hwpt(domain) ?? "a domain";
  const chunk = new Int32Array(Math.min(CHUNK, last - start + 1));
  for (let index = start; index <= last;) {
    const npages = Math.min(last - index + 1, chunk.length);
    readDomainPfns(domain, area, index, npages, chunk, 0);
    addFrames(runs, pages, place, index, chunk.subarray(0, npages));
    index = plus(index, npages);
  }
}

/** Appends pages from `index` on, to the last run where they continue it. */
function addFrames(
  runs: PagesRun[],
  pages: IoptPages,
  place: string,
  index: number,
  frames: Int32Array,
): void {
  let run = runs.at(-1);
  for (let i = 0; i < frames.length; i++) {
    const frame = frames[i]!;
    const pins = pages.kernel.frames.pins(frame as Pfn);
    if (run === undefined || run.place !== place || run.pins !== pins) {
      const at = index + i;
      run = {
        first: at,
        last: at,
        place,
        pins,
        frame,
        lastFrame: frame,
        stretches: 1,
      };
      runs.push(run);
      continue;
    }
    if (frame !== run.lastFrame + 1) run.stretches++;
    run.last = index + i;
    run.lastFrame = frame;
  }
}
