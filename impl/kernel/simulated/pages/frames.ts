// SPDX-License-Identifier: GPL-2.0-only

/**
 * Physical memory: page frames, their reference and pin counts, their bytes.
 *
 * A frame is a small integer, the page frame number. Its state lives in typed
 * arrays indexed by that number, so that loops that run once per page touch
 * nothing else. A pin is {@link GUP_PIN_COUNTING_BIAS} references, as in Linux
 * for a page that is not part of a compound page. Here the frames of a huge
 * page count for themselves too: Linux counts on the head page, but nothing
 * that a user can call tells the two apart.
 *
 * @module
 */

import { ENOMEM } from "../../../uapi/errno.ts";
import { HPAGE_SIZE, PAGE_SIZE } from "../../../uapi/mman.ts";
import type {
  FrameRuns,
  PhysicalMemory,
} from "../../interfaces/physical_memory.ts";
import { KernelBug } from "../../warn.ts";

/** References that one pin adds to a frame's count: Linux's constant of that name. */
export const GUP_PIN_COUNTING_BIAS = 1024;

/** Frames in one huge page. */
export const HPAGE_FRAMES: number = HPAGE_SIZE / PAGE_SIZE;

/** In which order free frames are handed out. */
export type FrameOrder = "ordered" | { readonly scattered: number };

/** Most bytes of a machine: a page table entry has 30 bits for a frame's number. */
const MEMORY_MAX = 2 ** 30 * PAGE_SIZE;

const NO_BYTES = new Uint8Array(0);

/** Below this many bytes a loop is faster than making the view that `set` needs. */
const SMALL_COPY = 32;

const USED_UP = ENOMEM.because("the machine's memory is used up");

/** All frames of a simulated machine. */
export class Frames implements PhysicalMemory {
  /** Number of frames there are. */
  readonly count: number;
  /** References of each frame, pins included; 0 means free. */
  readonly refcount: Int32Array;
  /** Frames in use. */
  used = 0;

  readonly #order: FrameOrder;
  /** Bytes of the frames that were written; the others read as zero. */
  readonly #bytes = new Map<number, Uint8Array>();
  /** The frame that was written last, with its bytes; -1 for none. */
  #lastPfn = -1;
  #lastBytes: Uint8Array = NO_BYTES;
  /** Frames that were freed, handed out again before new ones: last freed first. */
  #freed: number[] = [];
  /** Single frames come from the bottom, huge pages from the top; the two never cross. */
  #nextSingle = 1;
  #nextHuge: number;
  #freedHuge: number[] = [];
  /** Frames in use of each aligned block of 512 that is a huge page. */
  readonly #hugeLive: Uint16Array;

  /**
   * `bytes` of memory, a multiple of the huge page size. Throws a RangeError
   * for what a machine cannot have.
   */
  constructor(bytes: number, order: FrameOrder = "ordered") {
    if (!(bytes > 0 && bytes <= MEMORY_MAX) || bytes % HPAGE_SIZE !== 0) {
      throw new RangeError(
        `A machine cannot have ${bytes} bytes of memory: ` +
          `it has a multiple of ${HPAGE_SIZE}, at most ${MEMORY_MAX}`,
      );
    }
    this.count = bytes / PAGE_SIZE;
    this.refcount = new Int32Array(this.count);
    this.#hugeLive = new Uint16Array(this.count / HPAGE_FRAMES);
    this.#order = order;
    this.#nextHuge = this.count - HPAGE_FRAMES;
  }

  /** A zeroed frame with one reference. Throws ENOMEM when none is left. */
  alloc(): number {
    const pfn = this.#freed.pop() ?? this.#fresh();
    this.refcount[pfn] = 1;
    this.used++;
    return pfn;
  }

  /** 512 contiguous, aligned, zeroed frames with one reference each; the first one's number. Throws ENOMEM. */
  allocHuge(): number {
    let head = this.#freedHuge.pop();
    if (head === undefined) {
      if (this.#nextHuge < this.#nextSingle) throw USED_UP;
      head = this.#nextHuge;
      this.#nextHuge -= HPAGE_FRAMES;
    }
    this.refcount.fill(1, head, head + HPAGE_FRAMES);
    this.#hugeLive[head / HPAGE_FRAMES] = HPAGE_FRAMES;
    this.used += HPAGE_FRAMES;
    return head;
  }

  /** Takes a reference (Linux: get_page). */
  get(pfn: number): void {
    this.refcount[pfn]!++;
  }

  /** Drops `refs` references and frees the frame at zero (Linux: put_page). */
  put(pfn: number, refs = 1): void {
    const left = this.refcount[pfn]! - refs;
    if (left < 0) {
      throw new KernelBug(
        `Cannot put frame ${pfn}: its count falls to ${left}`,
      );
    }
    this.refcount[pfn] = left;
    if (left === 0) this.#free(pfn);
  }

  /** Unpins the frames `pfns[at]` and following, `npages` of them. */
  unpin(pfns: Int32Array, at: number, npages: number): void {
    for (let i = at; i < at + npages; i++) this.unpinRange(pfns[i]!, 1);
  }

  /** Unpins `npages` frames from `pfn` on. */
  unpinRange(pfn: number, npages: number): void {
    const { refcount } = this;
    const end = (pfn + npages) | 0;
    for (let cur = pfn; cur < end; cur++) {
      const left = (refcount[cur]! - GUP_PIN_COUNTING_BIAS) | 0;
      refcount[cur] = left;
      if (left <= 0) this.#unpinned(cur, left);
    }
  }

  /** Unpins the runs `from` up to `to`, exclusive. */
  unpinRuns({ pfns, npfns }: FrameRuns, from: number, to: number): void {
    const { refcount } = this;
    for (let run = from; run < to; run++) {
      // Scattered memory is nothing but these: a loop of their own takes half the time.
      for (; run < to && npfns[run] === 1; run++) {
        const pfn = pfns[run]!;
        const left = (refcount[pfn]! - GUP_PIN_COUNTING_BIAS) | 0;
        refcount[pfn] = left;
        if (left <= 0) this.#unpinned(pfn, left);
      }
      if (run === to) return;
      // Not unpinRange(): that is so short that V8 would compile it here, badly.
      const end = (pfns[run]! + npfns[run]!) | 0;
      for (let pfn = pfns[run]!; pfn < end; pfn++) {
        const left = (refcount[pfn]! - GUP_PIN_COUNTING_BIAS) | 0;
        refcount[pfn] = left;
        if (left <= 0) this.#unpinned(pfn, left);
      }
    }
  }

  /** What is left of a frame that nobody but pins held. */
  #unpinned(pfn: number, left: number): void {
    if (left < 0) throw new KernelBug(`Cannot unpin frame ${pfn}: not pinned`);
    this.#free(pfn);
  }

  /** How often a frame is pinned. */
  pins(pfn: number): number {
    return Math.trunc(this.refcount[pfn]! / GUP_PIN_COUNTING_BIAS);
  }

  /** Frames that are pinned. */
  countPinned(): number {
    if (this.used === 0) return 0;
    let pinned = 0;
    for (let pfn = 0; pfn < this.count; pfn++) {
      if (this.pins(pfn) > 0) pinned++;
    }
    return pinned;
  }

  /** Whether a frame is part of a huge page (Linux: PageCompound). */
  isCompound(pfn: number): boolean {
    return this.#hugeLive[Math.trunc(pfn / HPAGE_FRAMES)]! > 0;
  }

  /** Fills `to` from byte `offset` of a frame on. It may reach into the frames that follow. */
  read(pfn: number, offset: number, to: Uint8Array): void {
    if (offset + to.length <= PAGE_SIZE) {
      return this.#readPage(pfn, offset, to);
    }
    for (let cur = pfn, at = offset, done = 0; done < to.length; at = 0) {
      const end = Math.min(to.length, done + PAGE_SIZE - at);
      this.#readPage(cur++, at, to.subarray(done, end));
      done = end;
    }
  }

  #readPage(pfn: number, offset: number, to: Uint8Array): void {
    const bytes = this.#bytes.get(pfn);
    if (bytes === undefined) to.fill(0);
    else if (to.length > SMALL_COPY) {
      to.set(bytes.subarray(offset, offset + to.length));
    } else {
      for (let i = 0; i < to.length; i++) to[i] = bytes[offset + i]!;
    }
  }

  /** Writes `from` at byte `offset` of a frame. It may reach into the frames that follow. */
  write(pfn: number, offset: number, from: Uint8Array): void {
    if (offset + from.length <= PAGE_SIZE) {
      return this.#writePage(pfn, offset, from);
    }
    for (let cur = pfn, at = offset, done = 0; done < from.length; at = 0) {
      const end = Math.min(from.length, done + PAGE_SIZE - at);
      this.#writePage(cur++, at, from.subarray(done, end));
      done = end;
    }
  }

  #writePage(pfn: number, offset: number, from: Uint8Array): void {
    const bytes = this.#writable(pfn);
    if (from.length > SMALL_COPY) bytes.set(from, offset);
    else for (let i = 0; i < from.length; i++) bytes[offset + i] = from[i]!;
  }

  /** Makes the bytes `from` up to `end` exclusive of a frame zero. */
  clear(pfn: number, from: number, end: number): void {
    if (end - from === PAGE_SIZE) this.#forget(pfn);
    else this.#bytes.get(pfn)?.fill(0, from, end);
  }

  /** Sets the bits `first` to `last`, inclusive, counted from the lowest bit of a frame's first byte (Linux: bitmap_set). */
  setBits(pfn: number, first: number, last: number): void {
    const bytes = this.#writable(pfn);
    const from = first >> 3;
    const to = last >> 3;
    const head = 0xff << (first & 7);
    const tail = 0xff >> (7 - (last & 7));
    if (from === to) {
      bytes[from]! |= head & tail;
      return;
    }
    bytes[from]! |= head;
    for (let i = from + 1; i < to; i++) bytes[i] = 0xff;
    bytes[to]! |= tail;
  }

  /** Index of the first of the bytes `from` up to `end` exclusive of a frame that is not zero; `end` if all are. */
  firstNonZero(pfn: number, from: number, end: number): number {
    const bytes = this.#bytes.get(pfn);
    if (bytes === undefined) return end;
    let at = from;
    while (at < end && bytes[at] === 0) at++;
    return at;
  }

  /** Copies the contents of `npages` frames from `from` on to fresh frames from `to` on. */
  copy(from: number, to: number, npages: number): void {
    for (let i = 0; i < npages; i++) {
      const bytes = this.#bytes.get(from + i);
      if (bytes !== undefined) this.#bytes.set(to + i, bytes.slice());
    }
  }

  /** Drops the bytes of a frame: it reads as zero. */
  #forget(pfn: number): void {
    this.#bytes.delete(pfn);
    if (pfn === this.#lastPfn) this.#lastPfn = -1;
  }

  /** The bytes of a frame that somebody has. */
  #writable(pfn: number): Uint8Array {
    if (pfn === this.#lastPfn && pfn >= 0) return this.#lastBytes;
    let bytes = this.#bytes.get(pfn);
    if (bytes === undefined) {
      if (!(this.refcount[pfn]! > 0)) {
        throw new KernelBug(`Cannot write frame ${pfn}: nobody has it`);
      }
      bytes = new Uint8Array(PAGE_SIZE);
      this.#bytes.set(pfn, bytes);
    }
    this.#lastPfn = pfn;
    this.#lastBytes = bytes;
    return bytes;
  }

  #fresh(): number {
    if (this.#order !== "ordered") return this.#scatter(this.#order.scattered);
    if (this.#nextSingle >= this.#nextHuge + HPAGE_FRAMES) throw USED_UP;
    return this.#nextSingle++;
  }

  /**
   * Frees a block of 512 fresh frames in an order that the seed decides, so
   * that neighbours rarely get neighbouring frames.
   */
  #scatter(seed: number): number {
    const first = this.#nextSingle;
    const end = Math.min(first, this.#nextHuge) + HPAGE_FRAMES;
    if (first >= end) throw USED_UP;
    this.#nextSingle = end;
    let state = (seed ^ (first * 0x9e3779b1)) >>> 0;
    const block = Array.from({ length: end - first }, (_, i) => first + i);
    for (let i = block.length - 1; i > 0; i--) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const j = Math.floor((state / 2 ** 32) * (i + 1));
      [block[i], block[j]] = [block[j]!, block[i]!];
    }
    this.#freed = block;
    return this.#freed.pop()!;
  }

  #free(pfn: number): void {
    this.used--;
    this.#forget(pfn);
    // A huge page is free again when its last frame is.
    const block = Math.trunc(pfn / HPAGE_FRAMES);
    if (this.#hugeLive[block] === 0) this.#freed.push(pfn);
    else if (--this.#hugeLive[block]! === 0) {
      this.#freedHuge.push(block * HPAGE_FRAMES);
    }
  }
}
