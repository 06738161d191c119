// SPDX-License-Identifier: GPL-2.0-only

/**
 * Frames whose bytes are somewhere else, such as in another process: there is
 * no array of frames and no view of any byte.
 *
 * @module
 */

import type {
  FrameRuns,
  PhysicalMemory,
} from "../../interfaces/physical_memory.ts";
import { KernelBug } from "../../warn.ts";
import { PAGE_SIZE } from "../../../uapi/mman.ts";

/** Bytes somewhere else, by page; one that was not written is zero. They can be copied, and not looked at. */
export class RemoteStore {
  readonly #pages = new Map<number, Uint8Array>();

  /** Fills `to` from a page. */
  read(page: number, offset: number, to: Uint8Array): void {
    const bytes = this.#pages.get(page);
    if (bytes === undefined) to.fill(0);
    else to.set(bytes.subarray(offset, offset + to.length));
  }

  /** Writes `from` to a page. */
  write(page: number, offset: number, from: Uint8Array): void {
    let bytes = this.#pages.get(page);
    if (bytes === undefined) {
      bytes = new Uint8Array(PAGE_SIZE);
      this.#pages.set(page, bytes);
    }
    bytes.set(from, offset);
  }

  /** Makes a page zero. */
  drop(page: number): void {
    this.#pages.delete(page);
  }

  /** Makes the bytes [from, to) of all pages together zero. */
  zero(from: number, to: number): void {
    for (const [page, bytes] of this.#pages) {
      const start = page * PAGE_SIZE;
      bytes.fill(0, Math.max(0, from - start), Math.max(0, to - start));
    }
  }
}

/** A page that somebody asked for the number of. */
interface Frame {
  store: RemoteStore;
  page: number;
  pins: number;
  mapped: boolean;
  readonly compound: boolean;
}

/** The pages of all stores that have a number. */
export class RemoteFrames implements PhysicalMemory {
  /** More than any test needs. */
  readonly count: number = 2 ** 20;
  readonly #frames = new Map<number, Frame>();
  readonly #freed: number[] = [];

  /** Pages that have a number. */
  get used(): number {
    return this.#frames.size;
  }

  /** Numbers a page of a store. */
  add(store: RemoteStore, page: number, compound: boolean): number {
    const pfn = this.#freed.pop() ?? this.used + 1;
    this.#frames.set(pfn, { store, page, compound, pins: 0, mapped: true });
    return pfn;
  }

  /** The page's owner is about to lose it: what is pinned is copied and lives on. */
  unmap(pfn: number): void {
    const frame = this.#get(pfn);
    frame.mapped = false;
    const bytes = new Uint8Array(PAGE_SIZE);
    frame.store.read(frame.page, 0, bytes);
    frame.store.drop(frame.page);
    frame.store = new RemoteStore();
    frame.store.write(frame.page, 0, bytes);
    this.#forgetUnused(pfn, frame);
  }

  /** Pins a frame. */
  pin(pfn: number): void {
    this.#get(pfn).pins++;
  }

  pins(pfn: number): number {
    return this.#frames.get(pfn)?.pins ?? 0;
  }

  countPinned(): number {
    return [...this.#frames.values()].filter(({ pins }) => pins > 0).length;
  }

  isCompound(pfn: number): boolean {
    return this.#get(pfn).compound;
  }

  unpin(pfns: Int32Array, at: number, npages: number): void {
    for (const pfn of pfns.subarray(at, at + npages)) this.unpinRange(pfn, 1);
  }

  unpinRange(pfn: number, npages: number): void {
    for (let cur = pfn; cur < pfn + npages; cur++) {
      const frame = this.#get(cur);
      if (--frame.pins < 0) throw new KernelBug(`Frame ${cur} is not pinned`);
      this.#forgetUnused(cur, frame);
    }
  }

  unpinRuns({ pfns, npfns }: FrameRuns, from: number, to: number): void {
    for (let i = from; i < to; i++) this.unpinRange(pfns[i]!, npfns[i]!);
  }

  read(pfn: number, offset: number, to: Uint8Array): void {
    for (const [cur, at, part] of this.#parts(pfn, offset, to)) {
      const { store, page } = this.#get(cur);
      store.read(page, at, part);
    }
  }

  write(pfn: number, offset: number, from: Uint8Array): void {
    for (const [cur, at, part] of this.#parts(pfn, offset, from)) {
      const { store, page } = this.#get(cur);
      store.write(page, at, part);
    }
  }

  setBits(pfn: number, first: number, last: number): void {
    const byte = new Uint8Array(1);
    for (let bit = first; bit <= last; bit++) {
      this.read(pfn, bit >> 3, byte);
      byte[0]! |= 1 << (bit & 7);
      this.write(pfn, bit >> 3, byte);
    }
  }

  *#parts(pfn: number, offset: number, bytes: Uint8Array) {
    for (let done = 0; done < bytes.length;) {
      const at = (offset + done) % PAGE_SIZE;
      const cur = pfn + Math.floor((offset + done) / PAGE_SIZE);
      const part = bytes.subarray(done, done + PAGE_SIZE - at);
      yield [cur, at, part] as const;
      done += part.length;
    }
  }

  #get(pfn: number): Frame {
    const frame = this.#frames.get(pfn);
    if (frame === undefined) throw new KernelBug(`There is no frame ${pfn}`);
    return frame;
  }

  #forgetUnused(pfn: number, { pins, mapped }: Frame): void {
    if (pins > 0 || mapped) return;
    this.#frames.delete(pfn);
    this.#freed.push(pfn);
  }
}
