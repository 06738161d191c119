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

/** Looks for all places of a file in all processes, but for what is about to be lost. */
export type FindPlaces = (lost?: Lost) => readonly Place[];

/** Pages [first, end). */
type Run = readonly [first: number, end: number];

/** See the module. */
export class SharedPages extends PageStore {
  /** The file, once it could be opened. */
  view: FileView | undefined;
  readonly #onUnused: () => void;
  readonly #find: FindPlaces;
  #places: Place[] = [];
  /** Whether all places are known that there were when the last one was lost. */
  #isSearched = false;
  /** What pages were that a process may be about to leave. */
  readonly #last = new Map<number, Uint8Array>();

  /** Without pages that have a frame; calls `onUnused` when it comes to that again. */
  constructor(find: FindPlaces, onUnused: () => void) {
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
    for (const [first, end] of this.#onlyIn(lost)) keep(first, end);
    this.#cut(lost);
  }

  /** A process may be about to lose what it has at some addresses: copies what would be nowhere then. */
  remember(lost: Lost): void {
    this.#last.clear();
    for (const [first, end] of this.#onlyIn(lost)) {
      const bytes = new Uint8Array((end - first) * PAGE_SIZE);
      this.read(first, 0, bytes);
      for (let page = first; page < end; page++) {
        const at = (page - first) * PAGE_SIZE;
        this.#last.set(page, bytes.subarray(at, at + PAGE_SIZE));
      }
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
    this.#isSearched = false;
    this.#places = this.#places.flatMap((place) => {
      const inside = within(place, lost);
      if (inside !== undefined) taken.push(inside);
      return without(place, lost);
    });
    return taken;
  }

  /** How many of `n` pages from `page` on are behind mappings: a file may be shorter. */
  countBehind(page: number, n: number): number {
    let there = 0;
    // What follows the first page that is not there is not there either.
    for (let missing = n + 1; there + 1 < missing;) {
      const middle = missing > n ? n : (there + missing) >> 1;
      if (this.#isBehind(page + middle - 1)) there = middle;
      else missing = middle;
    }
    return there;
  }

  override read(page: number, offset: number, to: Uint8Array): void {
    const start = page * PAGE_SIZE + offset;
    if (this.view !== undefined) return this.view.read(start, to);
    this.#transfer(start, to, peek, (page, at, part) => {
      const last = this.#last.get(page)?.subarray(at, at + part.length);
      part.set(last ?? new Uint8Array(part.length));
    });
  }

  override write(page: number, offset: number, from: Uint8Array): void {
    const start = page * PAGE_SIZE + offset;
    if (this.view !== undefined) return this.view.write(start, from);
    this.#transfer(start, from, poke, () => {});
  }

  /**
   * Has `move` move `data`, from byte `start` of the file on, in as large parts
   * as a process has them, and tells `missing` of each page that no process has.
   */
  #transfer(
    start: number,
    data: Uint8Array,
    move: (space: ProcessSpace, address: number, part: Uint8Array) => number,
    missing: (page: number, at: number, part: Uint8Array) => void,
  ): void {
    let failedAt = -1;
    for (let done = 0; done < data.length;) {
      const page = Math.floor((start + done) / PAGE_SIZE);
      const place = this.#placeOf(page);
      if (place === undefined || failedAt === done) {
        const at = (start + done) % PAGE_SIZE;
        const part = data.subarray(done, done + PAGE_SIZE - at);
        missing(page, at, part);
        done += part.length;
        continue;
      }
      const at = start + done - place.page * PAGE_SIZE;
      const part = data.subarray(done, done + place.npages * PAGE_SIZE - at);
      const moved = move(place.space, place.address + at, part);
      done += moved;
      if (moved === part.length) continue;
      // Perhaps another process has it.
      failedAt = done;
      this.#cut({ space: place.space, start: 0, end: Infinity });
    }
  }

  #isBehind(page: number): boolean {
    if (this.frameOf(page) !== 0) return true;
    const place = this.#placeOf(page);
    if (place === undefined) return false;
    const address = place.address + (page - place.page) * PAGE_SIZE;
    return place.space.peek(address, new Uint8Array(1)) === 1;
  }

  #placeOf(page: number): Place | undefined {
    const known = () => this.#places.find((place) => has(place, page));
    return known() ?? (this.#search() ? known() : undefined);
  }

  /** Looks for more places; false if all are known. */
  #search(): boolean {
    if (this.#isSearched) return false;
    this.#isSearched = true;
    for (const place of this.#find()) this.addPlace(place);
    return true;
  }

  /** Pages with a frame that are to be had nowhere else than at some addresses of a process. */
  #onlyIn(lost: Lost): Run[] {
    if (this.view !== undefined) return [];
    const runs = this.#places.flatMap((place) => {
      const inside = within(place, lost);
      return inside === undefined ? [] : runsOf(this, inside);
    });
    const others = this.#places.flatMap((place) => without(place, lost));
    const left = uncovered(runs, others);
    if (left.length === 0) return left;
    const found = this.#find(lost);
    for (const place of found) this.addPlace(place);
    return uncovered(left, found);
  }
}

function peek(space: ProcessSpace, address: number, to: Uint8Array): number {
  return space.peek(address, to);
}

function poke(space: ProcessSpace, address: number, from: Uint8Array): number {
  return space.poke(address, from);
}

/** Runs of a place's pages that have a frame. */
function runsOf(pages: PageStore, { page, npages }: Place): Run[] {
  return [...pages.runsIn(page, page + npages)]
    .map(([first, n]): Run => [first, first + n]);
}

/** What of some runs is at none of some places. */
function uncovered(runs: readonly Run[], places: readonly Place[]): Run[] {
  return places.reduce<Run[]>(
    (left, { page, npages }) =>
      left.flatMap(([first, end]) => {
        const before: Run = [first, Math.min(end, page)];
        const behind: Run = [Math.max(first, page + npages), end];
        return [before, behind].filter(([first, end]) => first < end);
      }),
    [...runs],
  );
}

function has({ page, npages }: Place, wanted: number): boolean {
  return page <= wanted && wanted < page + npages;
}

/** What of a place is at some addresses of a process. */
function within(place: Place, { space, start, end }: Lost): Place | undefined {
  const from = Math.max(start, place.address);
  const to = Math.min(end, place.address + place.npages * PAGE_SIZE);
  if (place.space !== space || from >= to) return undefined;
  return part(place, from, to);
}

/** What of a place is not at some addresses of a process. */
export function without(place: Place, lost: Lost): Place[] {
  const inside = within(place, lost);
  if (inside === undefined) return [place];
  const last = inside.address + inside.npages * PAGE_SIZE;
  return [
    part(place, place.address, inside.address),
    part(place, last, place.address + place.npages * PAGE_SIZE),
  ].filter(({ npages }) => npages > 0);
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
