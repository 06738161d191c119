// SPDX-License-Identifier: GPL-2.0-only

/**
 * The pages of a file that processes share, by their place in it: through the
 * file itself, or where nobody lets us open that, through a process that has it
 * mapped.
 *
 * @module
 */

import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";
import type { FileView } from "./file_view.ts";
import { PageStore } from "../frames/page_store.ts";
import type { ProcessSpace } from "../spaces/process_space.ts";

/** Where a process has some pages of a file. */
export interface Place {
  /** The process's memory. */
  readonly space: ProcessSpace;
  /** First page of the file. */
  readonly page: number;
  /** Address of it. */
  readonly address: number;
  /** Pages. */
  readonly npages: number;
}

/** Addresses of a process that do not count. */
export interface Lost {
  /** The process's memory. */
  readonly space: ProcessSpace;
  /** First address. */
  readonly start: number;
  /** Address after the last one. */
  readonly end: number;
}

/** Looks for a place of a page of a file in any process, but for what is about to be lost. */
export type FindPlace = (page: number, lost?: Lost) => Place | undefined;

/** See the module. */
export class SharedPages extends PageStore {
  /** The file, once it could be opened. */
  view: FileView | undefined;
  readonly #onUnused: () => void;
  readonly #find: FindPlace;
  #places: Place[] = [];

  /** Without pages that have a frame; calls `onUnused` when it comes to that again. */
  constructor(find: FindPlace, onUnused: () => void) {
    super();
    this.#find = find;
    this.#onUnused = onUnused;
  }

  override unused(): void {
    this.#places = [];
    this.#onUnused();
  }

  /** A process has some pages. */
  addPlace(place: Place): void {
    const isThere = this.#places.some((other) =>
      other.space === place.space && other.page <= place.page &&
      place.page + place.npages <= other.page + other.npages &&
      place.address - other.address === (place.page - other.page) * PAGE_SIZE
    );
    if (!isThere) this.#places.push(place);
  }

  /**
   * A process is about to lose what it has at the addresses [start, end).
   * Returns the pages that are nowhere then, by first and end.
   */
  losePlaces(gone: Lost): [first: number, end: number][] {
    const { space, start, end } = gone;
    const lost: Place[] = [];
    const cut = (place: Place): Place[] => {
      const last = place.address + place.npages * PAGE_SIZE;
      const from = Math.max(start, place.address);
      const to = Math.min(end, last);
      if (place.space !== space || from >= to) return [place];
      lost.push(part(place, from, to));
      return [part(place, place.address, from), part(place, to, last)]
        .filter(({ npages }) => npages > 0);
    };
    this.#places = this.#places.flatMap(cut);
    return lost.flatMap(({ page, npages }) =>
      this.#nowhere(page, npages, gone)
    );
  }

  override read(page: number, offset: number, to: Uint8Array): void {
    if (this.view !== undefined) {
      return this.view.read(page * PAGE_SIZE + offset, to);
    }
    this.#eachPage(page, offset, to, (place, address, part) => {
      const n = place?.space.peek(address, part) ?? 0;
      if (n === part.length) return true;
      part.fill(0, n);
      return false;
    });
  }

  override write(page: number, offset: number, from: Uint8Array): void {
    if (this.view !== undefined) {
      return this.view.write(page * PAGE_SIZE + offset, from);
    }
    this.#eachPage(
      page,
      offset,
      from,
      (place, address, part) =>
        place?.space.poke(address, part) === part.length,
    );
  }

  /** Calls `visit` with each page's part of `data`, once more with another process where it returns false. */
  #eachPage(
    page: number,
    offset: number,
    data: Uint8Array,
    visit: (
      place: Place | undefined,
      address: number,
      part: Uint8Array,
    ) => boolean,
  ): void {
    for (let done = 0, cur = page, at = offset; done < data.length; cur++) {
      const end = Math.min(data.length, done + PAGE_SIZE - at);
      const part = data.subarray(done, end);
      const go = (place: Place | undefined) =>
        visit(place, addressOf(place, cur) + at, part);
      const place = this.#placeOf(cur);
      if (!go(place)) {
        this.#places = this.#places.filter((other) => other !== place);
        go(this.#placeOf(cur));
      }
      done = end;
      at = 0;
    }
  }

  #placeOf(page: number, lost?: Lost): Place | undefined {
    const known = this.#places.find((place) => has(place, page));
    if (known !== undefined) return known;
    const found = this.#find(page, lost);
    if (found !== undefined) this.addPlace(found);
    return found;
  }

  /** Those of some pages with a frame that no process has, one by one. */
  #nowhere(
    page: number,
    npages: number,
    gone: Lost,
  ): [first: number, end: number][] {
    const lost: [first: number, end: number][] = [];
    if (this.view !== undefined) return lost;
    for (const [first, n] of this.runsIn(page, page + npages)) {
      for (let cur = first; cur < first + n; cur++) {
        if (this.#placeOf(cur, gone) === undefined) lost.push([cur, cur + 1]);
      }
    }
    return lost;
  }
}

function has({ page, npages }: Place, wanted: number): boolean {
  return page <= wanted && wanted < page + npages;
}

function addressOf(place: Place | undefined, page: number): number {
  if (place === undefined) return 0;
  return place.address + (page - place.page) * PAGE_SIZE;
}

/** A part of a place, by address. */
function part(place: Place, start: number, end: number): Place {
  return {
    space: place.space,
    page: place.page + (start - place.address) / PAGE_SIZE,
    address: start,
    npages: (end - start) / PAGE_SIZE,
  };
}
