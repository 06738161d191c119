// SPDX-License-Identifier: GPL-2.0-only

/**
 * The list of slices of pages that one map puts at consecutive IOVA.
 *
 * @module
 */

import type { IoptArea } from "./area.ts";
import type { IoptPages } from "./pages.ts";

/** A slice of pages, and the area that it gets. Linux: struct iopt_pages_list. */
export interface PagesListElement {
  /** The pages. The list holds a reference until an area takes it over. */
  pages: IoptPages | null;
  /** The area that was set up for the slice and is not published yet. */
  area: IoptArea | null;
  /** First byte of the slice within the pages. */
  readonly startByte: bigint;
  /** Bytes of the slice. */
  readonly length: bigint;
}

/** What `IoPagetable.mapPages` maps. Disposing drops everything that no area took over. */
export class PagesList implements Disposable {
  /** The slices, lowest IOVA first. */
  readonly elements: PagesListElement[] = [];

  /** Appends a slice; the list takes over the caller's reference to `pages`. */
  add(pages: IoptPages, startByte: bigint, length: bigint): void {
    this.elements.push({ pages, area: null, startByte, length });
  }

  /** Linux: iopt_free_pages_list. */
  [Symbol.dispose](): void {
    for (const element of this.elements) {
      if (element.area) element.area.iopt.abortArea(element.area);
      element.pages?.put();
      element.area = null;
      element.pages = null;
    }
  }
}
