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
import type { Names } from "./names.ts";

/** Frame numbers that are read at once. */
const CHUNK = 4096;

/** Consecutive pages that are kept in the same place and pinned equally often. */
export interface PagesRun {
  /** Index of the first page. */
  readonly first: number;
  /** Index of the last page, inclusive. */
  last: number;
  /** Where their frame numbers are kept; what the page is of means that it is not pinned. */
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
 * domain, else what it is a page of. What is no memory has no frames.
 */
export function pagesRuns(pages: IoptPages, names: Names): PagesRun[] {
  const runs = new Runs(pages, names);
  const span = pages.spans(0 as PageIndex, pages.npages - 1 as PageIndex);
  for (; !span.done; span.next()) {
    const { start, last } = span;
    if (pages.source.frames === undefined || !span.isUsed) {
      runs.addUnused(start, last);
    } else if (span.isUsed === 1) {
      runs.addStored(start, last);
    } else {
      runs.addDomains(start, last);
    }
  }
  return runs.found;
}

/** The runs that were found so far. */
class Runs {
  readonly found: PagesRun[] = [];
  readonly #pages: IoptPages;
  readonly #names: Names;

  constructor(pages: IoptPages, names: Names) {
    this.#pages = pages;
    this.#names = names;
  }

  addUnused(first: PageIndex, last: PageIndex): void {
    const { place } = this.#pages.source;
    const none = { pins: 0, frame: -1, lastFrame: -1, stretches: 0 };
    this.found.push({ first, last, place, ...none });
  }

  addStored(start: PageIndex, last: PageIndex): void {
    this.#addChunks("pinned_pfns", start, last, (index, npages, chunk) => {
      readStoredPfns(this.#pages, index, npages, chunk, 0);
    });
  }

  addDomains(start: PageIndex, last: PageIndex): void {
    for (let index = start; index <= last;) {
      const area = this.#pages.domainsTree.first(index, index)!;
      const end = min(area.lastIndex, last);
      this.#addDomain(area, index, end);
      index = plus(end, 1);
    }
  }

  #addDomain(area: IoptArea, start: PageIndex, last: PageIndex): void {
    const domain = area.storageDomain!;
    const place = this.#names.place(domain);
    this.#addChunks(place, start, last, (index, npages, chunk) => {
      readDomainPfns(domain, area, index, npages, chunk, 0);
    });
  }

  /** Adds pages whose frame numbers `read` puts into a chunk. */
  #addChunks(
    place: string,
    start: PageIndex,
    last: PageIndex,
    read: (index: PageIndex, npages: number, chunk: Int32Array) => void,
  ): void {
    const chunk = new Int32Array(Math.min(CHUNK, last - start + 1));
    for (let index = start; index <= last;) {
      const npages = Math.min(last - index + 1, chunk.length);
      read(index, npages, chunk);
      for (let i = 0; i < npages; i++) {
        this.#addFrame(place, index + i, chunk[i]!);
      }
      index = plus(index, npages);
    }
  }

  /** Adds a page to the last run where it continues that one. */
  #addFrame(place: string, index: number, frame: number): void {
    const pins = this.#pages.kernel.frames.pins(frame as Pfn);
    const run = this.found.at(-1);
    if (run === undefined || run.place !== place || run.pins !== pins) {
      const last = { last: index, lastFrame: frame, stretches: 1 };
      this.found.push({ first: index, place, pins, frame, ...last });
      return;
    }
    if (frame !== run.lastFrame + 1) run.stretches++;
    run.last = index;
    run.lastFrame = frame;
  }
}
