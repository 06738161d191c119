// SPDX-License-Identifier: GPL-2.0-only

/**
 * The frames of a machine whose memory is the host's: pages of stores, by
 * number, and how often they are pinned.
 *
 * A page has a number while it is pinned or held. The number stays when the
 * page goes to another place, and when its owner lets go of it: its bytes are
 * kept here then.
 *
 * @module
 */

import type {
  FrameRuns,
  PhysicalMemory,
} from "../../../impl/kernel/interfaces/physical_memory.ts";
import { addRun, type FrameList } from "../../../impl/lib/frame_list.ts";
import { KernelBug } from "../../../impl/kernel/warn.ts";
import { ENOMEM } from "../../../impl/uapi/errno.ts";
import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";
import { Blocks } from "./blocks.ts";
import { grown } from "./grown.ts";
import {
  KeptPages,
  type Leaf,
  LEAF_PAGES,
  type PageStore,
} from "./page_store.ts";

/** As many frames as the mock IOMMU can map: 256 GiB. */
const FRAMES = 2 ** 26;
/** Most pins of a frame: each is 1024 references on Linux. */
export const PINS_MAX: number = 2 ** 21 - 1;

/** A frame is in use. */
const LIVE = 1;
/** It is part of a huge page. */
const COMPOUND = 2;
/** It stays without pins. */
const HELD = 4;

/** Bytes that {@link HostFrames.keep} copies at once. */
const KEEP_BYTES = 2 ** 21;

/** All pages that have a number. */
export class HostFrames implements PhysicalMemory {
  /** More than a machine has: numbers are not reused for what stays pinned. */
  readonly count: number = FRAMES;
  /** Frames that are pinned or held. */
  used = 0;

  readonly #blocks = new Blocks(FRAMES / LEAF_PAGES);
  readonly #kept = new KeptPages();
  readonly #stores: (PageStore | undefined)[] = [undefined];
  readonly #freeStores: number[] = [];
  /** Empty leaves to use again. */
  readonly #leaves: Leaf[] = [];
  #pinned = 0;

  #pins = new Int32Array(4096);
  #storeIds = new Int32Array(4096);
  #pages = new Float64Array(4096);
  #flags = new Uint8Array(4096);

  /**
   * Pins `count` pages of a store from `page` on and adds their numbers to
   * `list`. Stops at one whose count would overflow; returns how many were
   * pinned. Throws ENOMEM.
   */
  pin(
    store: PageStore,
    page: number,
    count: number,
    compound: boolean,
    list: FrameList,
  ): number {
    let done = 0;
    try {
      while (done < count) {
        const leaf = this.#leafOf(store, page + done);
        const from = (page + done) % LEAF_PAGES;
        const end = Math.min(LEAF_PAGES, from + count - done);
        for (let i = from; i < end; i++, done++) {
          const pfn = leaf.pfns[i] ||
            this.#add(store, leaf, page + done, compound);
          const pins = this.#pins[pfn]!;
          if (pins === PINS_MAX) return done;
          if (pins === 0) this.#pinned++;
          this.#pins[pfn] = pins + 1;
          addRun(list, Infinity, pfn, 1);
        }
      }
    } catch (error) {
      if (done === 0 || !ENOMEM.is(error)) throw error;
    }
    return done;
  }

  /** Gives a page a number that it has until {@link release}. Throws ENOMEM. */
  hold(store: PageStore, page: number, compound: boolean): number {
    const pfn = store.frameOf(page) ||
      this.#add(store, this.#leafOf(store, page), page, compound);
    this.#flags[pfn]! |= HELD;
    return pfn;
  }

  /** The number of a page: one that nobody pinned has it just for now. Throws ENOMEM. */
  peek(store: PageStore, page: number, compound: boolean): number {
    const there = store.frameOf(page);
    if (there !== 0) return there;
    const pfn = this.#add(store, this.#leafOf(store, page), page, compound);
    this.#free(pfn);
    return pfn;
  }

  /** The pages [first, end) of a store are held no more. */
  release(store: PageStore, first: number, end: number): void {
    for (const [page, n] of [...store.runsIn(first, end)]) {
      for (let i = 0; i < n; i++) {
        const pfn = store.frameOf(page + i);
        this.#flags[pfn]! &= ~HELD;
        if (this.#pins[pfn] === 0) this.#free(pfn);
      }
    }
  }

  /**
   * The owner of a store is about to lose its pages [first, end): what is
   * pinned is copied and lives on. Who has the page's place then has another page.
   */
  keep(store: PageStore, first: number, end: number): void {
    this.release(store, first, end);
    for (const [page, n] of [...store.runsIn(first, end)]) {
      const step = KEEP_BYTES / PAGE_SIZE;
      for (let i = 0; i < n; i += step) {
        this.#keepRun(store, page + i, Math.min(step, n - i));
      }
    }
  }

  /** The pages [first, end) of a store are now those of `to` from `page` on, where there are none. */
  move(
    store: PageStore,
    first: number,
    end: number,
    to: PageStore,
    page: number,
  ): void {
    const runs = [...store.runsIn(first, end)];
    // Out of the way first: the two places may overlap.
    const moved = runs.flatMap(([start, n]) =>
      Array.from({ length: n }, (_, i): [number, number] => {
        const pfn = store.frameOf(start + i);
        this.#unlink(pfn);
        return [pfn, start + i - first + page];
      })
    );
    for (const [pfn, place] of moved) {
      const leaf = this.#leafOf(to, place);
      this.#link(pfn, to, leaf, place);
    }
  }

  /** Whether any page of [first, end) of a store is pinned. */
  isPinned(store: PageStore, first: number, end: number): boolean {
    for (const [page, n] of store.runsIn(first, end)) {
      for (let i = 0; i < n; i++) {
        if (this.#pins[store.frameOf(page + i)]! > 0) return true;
      }
    }
    return false;
  }

  /** How often a frame is pinned. */
  pins(pfn: number): number {
    return this.#pins[pfn] ?? 0;
  }

  /** Frames that are pinned. */
  countPinned(): number {
    return this.#pinned;
  }

  /** Whether a frame is part of a huge page. */
  isCompound(pfn: number): boolean {
    return (this.#flags[pfn]! & COMPOUND) !== 0;
  }

  /** Unpins the frames `pfns[at]` and following, `npages` of them. */
  unpin(pfns: Int32Array, at: number, npages: number): void {
    for (let i = at; i < at + npages; i++) this.#unpin(pfns[i]!);
  }

  /** Unpins `npages` frames from `pfn` on. */
  unpinRange(pfn: number, npages: number): void {
    for (let cur = pfn; cur < pfn + npages; cur++) this.#unpin(cur);
  }

  /** Unpins the runs `from` up to `to`, exclusive. */
  unpinRuns({ pfns, npfns }: FrameRuns, from: number, to: number): void {
    for (let i = from; i < to; i++) this.unpinRange(pfns[i]!, npfns[i]!);
  }

  /** Fills `to` from byte `offset` of a frame on. It may reach into the frames that follow. */
  read(pfn: number, offset: number, to: Uint8Array): void {
    for (let cur = pfn, at = offset, done = 0; done < to.length; at = 0) {
      const n = this.#runLength(cur, at + to.length - done);
      const end = Math.min(to.length, done + n * PAGE_SIZE - at);
      const part = end - done === to.length ? to : to.subarray(done, end);
      this.#storeOf(cur).read(this.#pages[cur]!, at, part);
      done = end;
      cur += n;
    }
  }

  /** Writes `from` at byte `offset` of a frame. It may reach into the frames that follow. */
  write(pfn: number, offset: number, from: Uint8Array): void {
    for (let cur = pfn, at = offset, done = 0; done < from.length; at = 0) {
      const n = this.#runLength(cur, at + from.length - done);
      const end = Math.min(from.length, done + n * PAGE_SIZE - at);
      const part = end - done === from.length ? from : from.subarray(done, end);
      this.#storeOf(cur).write(this.#pages[cur]!, at, part);
      done = end;
      cur += n;
    }
  }

  /** Sets the bits `first` to `last`, inclusive, counted from the lowest bit of a frame's first byte. */
  setBits(pfn: number, first: number, last: number): void {
    const from = first >> 3;
    const bytes = new Uint8Array((last >> 3) - from + 1);
    this.read(pfn, from, bytes);
    for (let bit = first; bit <= last;) {
      const whole = (bit & 7) === 0 && bit + 7 <= last;
      bytes[(bit >> 3) - from]! |= whole ? 0xff : 1 << (bit & 7);
      bit += whole ? 8 : 1;
    }
    this.write(pfn, from, bytes);
  }

  /** Frames from `pfn` on whose pages follow each other in one store, as far as `bytes` from its beginning on reach. Throws a KernelBug if nobody has it. */
  #runLength(pfn: number, bytes: number): number {
    if (!this.#isLive(pfn)) throw new KernelBug(`Nobody has frame ${pfn}`);
    const id = this.#storeIds[pfn]!;
    const page = this.#pages[pfn]!;
    let n = 1;
    while (
      n * PAGE_SIZE < bytes && this.#isLive(pfn + n) &&
      this.#storeIds[pfn + n] === id && this.#pages[pfn + n] === page + n
    ) n++;
    return n;
  }

  #unpin(pfn: number): void {
    const pins = this.#pins[pfn]! - 1;
    if (!(pins >= 0)) {
      throw new KernelBug(`Cannot unpin frame ${pfn}: not pinned`);
    }
    this.#pins[pfn] = pins;
    if (pins > 0) return;
    this.#pinned--;
    if ((this.#flags[pfn]! & HELD) === 0) this.#free(pfn);
  }

  #keepRun(store: PageStore, page: number, n: number): void {
    const bytes = new Uint8Array(n * PAGE_SIZE);
    store.read(page, 0, bytes);
    for (let i = 0; i < n; i++) {
      const pfn = store.frameOf(page + i);
      this.#unlink(pfn);
      this.#kept.keep(pfn, bytes.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE));
      this.#link(pfn, this.#kept, undefined, pfn);
    }
  }

  /** Gives a page of a store, which has none, a frame. */
  #add(store: PageStore, leaf: Leaf, page: number, compound: boolean): number {
    const i = page % LEAF_PAGES;
    // A page that was kept or moved has taken its number with it.
    if (this.#isLive(leaf.block * LEAF_PAGES + i)) {
      const block = this.#blocks.take(0);
      this.#blocks.put(leaf.block);
      leaf.block = block;
    }
    const pfn = leaf.block * LEAF_PAGES + i;
    this.#grow(pfn);
    this.#blocks.get(leaf.block);
    this.#pins[pfn] = 0;
    this.#flags[pfn] = LIVE | (compound ? COMPOUND : 0);
    this.used++;
    this.#link(pfn, store, leaf, page);
    return pfn;
  }

  /** Takes a number back. What it said of a huge page stays until it is used again: who peeked may ask. */
  #free(pfn: number): void {
    this.#unlink(pfn);
    this.#flags[pfn]! &= COMPOUND;
    this.used--;
    this.#blocks.put(Math.floor(pfn / LEAF_PAGES));
  }

  /** Makes a frame a page of a store. */
  #link(
    pfn: number,
    store: PageStore,
    leaf: Leaf | undefined,
    page: number,
  ): void {
    if (store.id === 0) {
      store.id = this.#freeStores.pop() ?? this.#stores.length;
      this.#stores[store.id] = store;
    }
    this.#storeIds[pfn] = store.id;
    this.#pages[pfn] = page;
    store.live++;
    if (leaf === undefined) return;
    leaf.pfns[page % LEAF_PAGES] = pfn;
    leaf.live++;
  }

  /** Takes a frame out of its store. */
  #unlink(pfn: number): void {
    const id = this.#storeIds[pfn]!;
    const store = this.#stores[id]!;
    const page = this.#pages[pfn]!;
    if (store === this.#kept) this.#kept.forget(pfn);
    else this.#unlinkPage(store, page);
    if (--store.live > 0) return;
    store.id = 0;
    this.#stores[id] = undefined;
    this.#freeStores.push(id);
    store.unused();
  }

  #unlinkPage(store: PageStore, page: number): void {
    const number = Math.floor(page / LEAF_PAGES);
    const leaf = store.leaves.get(number)!;
    leaf.pfns[page % LEAF_PAGES] = 0;
    if (--leaf.live > 0) return;
    store.leaves.delete(number);
    this.#blocks.put(leaf.block);
    this.#leaves.push(leaf);
  }

  /** The leaf of a page, made if it is missing. */
  #leafOf(store: PageStore, page: number): Leaf {
    const number = Math.floor(page / LEAF_PAGES);
    const there = store.leaves.get(number);
    if (there !== undefined) return there;
    const before = store.leaves.get(number - 1)?.block ?? -1;
    const leaf = this.#leaves.pop() ??
      { pfns: new Int32Array(LEAF_PAGES), block: 0, live: 0 };
    leaf.block = this.#blocks.take(before + 1);
    store.leaves.set(number, leaf);
    return leaf;
  }

  #storeOf(pfn: number): PageStore {
    return this.#stores[this.#storeIds[pfn]!]!;
  }

  #isLive(pfn: number): boolean {
    return ((this.#flags[pfn] ?? 0) & LIVE) !== 0;
  }

  #grow(pfn: number): void {
    if (pfn < this.#pins.length) return;
    this.#pins = grown(this.#pins, pfn);
    this.#storeIds = grown(this.#storeIds, pfn);
    this.#pages = grown(this.#pages, pfn);
    this.#flags = grown(this.#flags, pfn);
  }
}
