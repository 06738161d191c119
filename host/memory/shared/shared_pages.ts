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
  /** What pages were that a process may be about to leave. */
  readonly #last = new Map<number, Uint8Array>();

  /** Without pages that have a frame; calls `onUnused` when it comes to that again. */
  constructor(find: FindPlace, onUnused: () => void) {
    super();
    this.#find = find;
    this.#onUnused = onUnused;
  }

  override unused(): void {
    this.#places = [];
    this.#last.clear();
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

  /** Whether a process has any place at some addresses. */
  hasPlaces(lost: Lost): boolean {
    return this.#places.some((place) => within(place, lost) !== undefined);
  }

  /** A process is about to lose what it has at some addresses: `keep` is called with what is nowhere then. */
  losePlaces(lost: Lost, keep: (first: number, end: number) => void): void {
    for (const page of this.#onlyIn(lost)) keep(page, page + 1);
    this.#cut(lost);
  }

  /** A process may be about to lose what it has at some addresses: copies what would be nowhere then. */
  remember(lost: Lost): void {
    this.#last.clear();
    for (const page of this.#onlyIn(lost)) {
      const bytes = new Uint8Array(PAGE_SIZE);
      this.read(page, 0, bytes);
      this.#last.set(page, bytes);
    }
  }

  /** It did not. */
  forget(): void {
    this.#last.clear();
  }

  /** A process has moved what it had at some addresses to `to`. */
  movePlaces(moved: Lost, to: number): void {
    for (const place of this.#cut(moved)) {
      this.addPlace({ ...place, address: place.address - moved.start + to });
    }
  }

  /** Takes out what places a process has at some addresses, and returns that. */
  #cut(lost: Lost): Place[] {
    const taken: Place[] = [];
    this.#places = this.#places.flatMap((place) => {
      const middle = within(place, lost);
      if (middle === undefined) return [place];
      taken.push(middle);
      const last = middle.address + middle.npages * PAGE_SIZE;
      return [
        part(place, place.address, middle.address),
        part(place, last, place.address + place.npages * PAGE_SIZE),
      ].filter(({ npages }) => npages > 0);
    });
    return taken;
  }

  /** How many of `n` pages from `page` on are behind mappings: a file may be shorter. */
  countBehind(page: number, n: number): number {
    const byte = new Uint8Array(1);
    for (let i = 0; i < n; i++) {
      if (this.frameOf(page + i) !== 0) continue;
      const place = this.#placeOf(page + i);
      const address = addressOf(place, page + i);
      if (place === undefined || place.space.peek(address, byte) === 0) {
        return i;
      }
    }
    return n;
  }

  override read(page: number, offset: number, to: Uint8Array): void {
    if (this.view !== undefined) {
      return this.view.read(page * PAGE_SIZE + offset, to);
    }
    this.#eachPage(page, offset, to, (place, address, part, cur) => {
      const n = place?.space.peek(address, part) ?? 0;
      if (n === part.length) return true;
      const at = address % PAGE_SIZE;
      const last = this.#last.get(cur)?.subarray(at, at + part.length);
      part.set(last ?? new Uint8Array(part.length));
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
      page: number,
    ) => boolean,
  ): void {
    for (let done = 0, cur = page, at = offset; done < data.length; cur++) {
      const end = Math.min(data.length, done + PAGE_SIZE - at);
      const part = data.subarray(done, end);
      const go = (place: Place | undefined) =>
        visit(place, addressOf(place, cur) + at, part, cur);
      const place = this.#placeOf(cur);
      if (!go(place)) {
        this.#places = this.#places.filter((other) => other !== place);
        go(this.#placeOf(cur));
      }
      done = end;
      at = 0;
    }
  }

  #placeOf(page: number): Place | undefined {
    const known = this.#places.find((place) => has(place, page));
    if (known !== undefined) return known;
    const found = this.#find(page);
    if (found !== undefined) this.addPlace(found);
    return found;
  }

  /** Pages with a frame that are to be had nowhere else than at some addresses of a process. */
  #onlyIn(lost: Lost): number[] {
    if (this.view !== undefined) return [];
    const places = this.#places.flatMap((place) => within(place, lost) ?? []);
    return places.flatMap(({ page, npages }) =>
      [...this.runsIn(page, page + npages)].flatMap(([first, n]) =>
        Array.from({ length: n }, (_, i) => first + i)
          .filter((page) => !this.#isElsewhere(page, lost))
      )
    );
  }

  #isElsewhere(page: number, lost: Lost): boolean {
    const isKnown = this.#places.some((place) =>
      has(place, page) && !isLost(place.space, addressOf(place, page), lost)
    );
    const found = isKnown ? undefined : this.#find(page, lost);
    if (found !== undefined) this.addPlace(found);
    return isKnown || found !== undefined;
  }
}

/** Whether an address of a process is among those that do not count. */
export function isLost(
  space: ProcessSpace,
  address: number,
  lost: Lost | undefined,
): boolean {
  return lost !== undefined && space === lost.space && address >= lost.start &&
    address < lost.end;
}

function has({ page, npages }: Place, wanted: number): boolean {
  return page <= wanted && wanted < page + npages;
}

function addressOf(place: Place | undefined, page: number): number {
  if (place === undefined) return 0;
  return place.address + (page - place.page) * PAGE_SIZE;
}

/** What of a place is at some addresses of a process. */
function within(place: Place, { space, start, end }: Lost): Place | undefined {
  const from = Math.max(start, place.address);
  const to = Math.min(end, place.address + place.npages * PAGE_SIZE);
  if (place.space !== space || from >= to) return undefined;
  return part(place, from, to);
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
