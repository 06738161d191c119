// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where the bytes of frames are: pages by number, such as those of a file or
 * of a process.
 *
 * @module
 */

import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";

/** Pages of one leaf, and frames of one block: as many as a huge page has. */
export const LEAF_PAGES = 512;

/** The frames of 512 pages that follow each other. */
export interface Leaf {
  /** Frame of each page, 0 for none. */
  readonly pfns: Int32Array;
  /** The block whose numbers its pages get. */
  block: number;
  /** Pages that have a frame. */
  live: number;
}

/** Pages whose bytes can be copied. Those that somebody asked the number of have a frame. */
export abstract class PageStore {
  /** Frames by page, 512 at a time. For `HostFrames` only. */
  readonly leaves: Map<number, Leaf> = new Map();
  /** Its number among the stores that have frames; 0 while it has none. For `HostFrames` only. */
  id = 0;
  /** Pages that have a frame. For `HostFrames` only. */
  live = 0;

  /** Fills `to` from byte `offset` of a page on. It may reach into the pages that follow; what is gone reads as zero. */
  abstract read(page: number, offset: number, to: Uint8Array): void;

  /** Writes `from` at byte `offset` of a page. It may reach into the pages that follow; what is gone stays so. */
  abstract write(page: number, offset: number, from: Uint8Array): void;

  /** The last of its frames is gone. */
  unused(): void {}

  /** The frame of a page, 0 for none. */
  frameOf(page: number): number {
    const leaf = this.leaves.get(Math.floor(page / LEAF_PAGES));
    return leaf === undefined ? 0 : leaf.pfns[page % LEAF_PAGES]!;
  }

  /** Whether all of `n` pages from `page` on have a frame. */
  hasAll(page: number, n: number): boolean {
    for (let i = 0; i < n; i++) if (this.frameOf(page + i) === 0) return false;
    return true;
  }

  /** Numbers of the leaves that overlap the pages [first, end), in no order. */
  *leavesIn(first: number, end: number): Generator<number> {
    const from = Math.floor(first / LEAF_PAGES);
    const to = Math.ceil(end / LEAF_PAGES);
    // Ranges may be as long as the address space and almost empty: walk whichever is shorter.
    if (to - from <= this.leaves.size) {
      for (let n = from; n < to; n++) if (this.leaves.has(n)) yield n;
      return;
    }
    for (const n of [...this.leaves.keys()]) if (n >= from && n < to) yield n;
  }

  /** Runs of pages in [first, end) that have a frame: first page and how many, those of a leaf in order. */
  *runsIn(first: number, end: number): Generator<[page: number, n: number]> {
    for (const number of this.leavesIn(first, end)) {
      const { pfns } = this.leaves.get(number)!;
      const start = number * LEAF_PAGES;
      const last = Math.min(end - start, LEAF_PAGES);
      for (let i = Math.max(first - start, 0); i < last; i++) {
        const from = i;
        while (i < last && pfns[i] !== 0) i++;
        if (i > from) yield [start + from, i - from];
      }
    }
  }
}

/** Bytes of pages that their owner let go of while they were pinned; a page's number is that of its frame. */
export class KeptPages extends PageStore {
  readonly #bytes = new Map<number, Uint8Array>();

  /** Keeps the bytes of a frame. */
  keep(pfn: number, bytes: Uint8Array): void {
    this.#bytes.set(pfn, bytes);
  }

  /** Nobody needs them any more. */
  forget(pfn: number): void {
    this.#bytes.delete(pfn);
  }

  /** Pages whose frames follow each other follow each other. */
  override read(pfn: number, offset: number, to: Uint8Array): void {
    this.#eachPage(pfn, offset, to, (bytes, part) => part.set(bytes));
  }

  /** The same. */
  override write(pfn: number, offset: number, from: Uint8Array): void {
    this.#eachPage(pfn, offset, from, (bytes, part) => bytes.set(part));
  }

  #eachPage(
    pfn: number,
    offset: number,
    data: Uint8Array,
    visit: (bytes: Uint8Array, part: Uint8Array) => void,
  ): void {
    for (let cur = pfn, at = offset, done = 0; done < data.length; at = 0) {
      const n = Math.min(PAGE_SIZE - at, data.length - done);
      const bytes = this.#bytes.get(cur++)!.subarray(at, at + n);
      visit(bytes, data.subarray(done, done + n));
      done += n;
    }
  }
}
