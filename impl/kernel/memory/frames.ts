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

import { ENOMEM } from "../../uapi/errno.ts";
import { HPAGE_SIZE, PAGE_SIZE } from "../../uapi/mman.ts";
import { KernelBug } from "../warn.ts";

/** References that one pin adds to a frame's count: Linux's constant of that name. */
export const GUP_PIN_COUNTING_BIAS = 1024;

/** Frames in one huge page. */
export const HPAGE_FRAMES: number = HPAGE_SIZE / PAGE_SIZE;

/** Frame flag: part of a huge page (Linux: PageCompound). */
export const FRAME_COMPOUND = 1;
/** Frame flag: written through a pin or a mapping (Linux: PG_dirty). */
export const FRAME_DIRTY = 2;

/** In which order free frames are handed out. */
export type FrameOrder = "ordered" | { readonly scattered: number };

/** A frame without bytes of its own reads as this. Never written. */
const ZERO_BYTES = new Uint8Array(PAGE_SIZE);

/** All frames of one machine. */
export class Frames {
  /** Number of frames there are. */
  readonly count: number;
  /** References of each frame, pins included; 0 means free. */
  readonly refcount: Int32Array;
  /** `FRAME_*` flags of each frame. */
  readonly flags: Uint8Array;
  /** Frames in use. */
  used = 0;

  readonly #order: FrameOrder;
  /** Bytes of the frames that were written; the others read as zero. */
  readonly #bytes = new Map<number, Uint8Array>();
  /** Frames that were freed, handed out again before new ones: last freed first. */
  #freed: number[] = [];
  /** Single frames come from the bottom, huge pages from the top; the two never cross. */
  #nextSingle = 1;
  #nextHuge: number;
  #freedHuge: number[] = [];
  /** Frames in use of each aligned block of 512 that is a huge page. */
  readonly #hugeLive: Uint16Array;

  /** `bytes` of memory, a multiple of the huge page size. */
  constructor(bytes: number, order: FrameOrder = "ordered") {
    this.count = Math.ceil(bytes / HPAGE_SIZE) * HPAGE_FRAMES;
    this.refcount = new Int32Array(this.count);
    this.flags = new Uint8Array(this.count);
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
      if (this.#nextHuge < this.#nextSingle) throw ENOMEM;
      head = this.#nextHuge;
      this.#nextHuge -= HPAGE_FRAMES;
    }
    this.refcount.fill(1, head, head + HPAGE_FRAMES);
    this.flags.fill(FRAME_COMPOUND, head, head + HPAGE_FRAMES);
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

  /**
   * Unpins `npages` frames from `pfn` on, marking them dirty if told so
   * (Linux: unpin_user_page_range_dirty_lock).
   */
  unpinRange(pfn: number, npages: number, dirty: boolean): void {
    const { refcount, flags } = this;
    const end = pfn + npages;
    const mark = dirty ? FRAME_DIRTY : 0;
    for (let cur = pfn; cur < end; cur++) {
      const left = refcount[cur]! - GUP_PIN_COUNTING_BIAS;
      refcount[cur] = left;
      flags[cur]! |= mark;
      if (left <= 0) this.#unpinned(cur, left);
    }
  }

  /**
   * As {@link unpinRange} for each of the runs `from` up to `to` exclusive:
   * `npfns[i]` frames from `pfns[i]` on.
   */
  unpinRuns(
    runs: { readonly pfns: Int32Array; readonly npfns: Int32Array },
    from: number,
    to: number,
    dirty: boolean,
  ): void {
    const { refcount, flags } = this;
    const { pfns, npfns } = runs;
    const mark = dirty ? FRAME_DIRTY : 0;
    for (let run = from; run < to; run++) {
      const end = pfns[run]! + npfns[run]!;
      for (let cur = pfns[run]!; cur < end; cur++) {
        const left = refcount[cur]! - GUP_PIN_COUNTING_BIAS;
        refcount[cur] = left;
        flags[cur]! |= mark;
        if (left <= 0) this.#unpinned(cur, left);
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

  /** The 4096 bytes of a frame, for reading only: an untouched frame shares a zero page. */
  bytes(pfn: number): Uint8Array {
    return this.#bytes.get(pfn) ?? ZERO_BYTES;
  }

  /** The 4096 bytes of a frame, for writing. */
  writableBytes(pfn: number): Uint8Array {
    let bytes = this.#bytes.get(pfn);
    if (bytes === undefined) {
      bytes = new Uint8Array(PAGE_SIZE);
      this.#bytes.set(pfn, bytes);
    }
    return bytes;
  }

  /**
   * Copies between `data` and a frame from byte `offset` on; a write marks the
   * frame dirty. `data` must end within the page.
   */
  copyPage(
    pfn: number,
    offset: number,
    data: Uint8Array,
    write: boolean,
  ): void {
    if (write) {
      this.writableBytes(pfn).set(data, offset);
      this.flags[pfn]! |= FRAME_DIRTY;
    } else {
      data.set(this.bytes(pfn).subarray(offset, offset + data.length));
    }
  }

  /** Copies the contents of `npages` frames from `from` on to fresh frames from `to` on. */
  copy(from: number, to: number, npages: number): void {
    for (let i = 0; i < npages; i++) {
      const bytes = this.#bytes.get(from + i);
      if (bytes !== undefined) this.#bytes.set(to + i, bytes.slice());
    }
  }

  #fresh(): number {
    if (this.#order !== "ordered") return this.#scatter(this.#order.scattered);
    if (this.#nextSingle >= this.#nextHuge) throw ENOMEM;
    return this.#nextSingle++;
  }

  /**
   * Frees a block of 512 fresh frames in an order that the seed decides, so
   * that neighbours rarely get neighbouring frames.
   */
  #scatter(seed: number): number {
    const first = this.#nextSingle;
    const end = Math.min(first + HPAGE_FRAMES, this.#nextHuge);
    if (first >= end) throw ENOMEM;
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
    this.#bytes.delete(pfn);
    if (!(this.flags[pfn]! & FRAME_COMPOUND)) {
      this.flags[pfn] = 0;
      this.#freed.push(pfn);
      return;
    }
    // A huge page is free again when its last frame is.
    const block = Math.trunc(pfn / HPAGE_FRAMES);
    if (--this.#hugeLive[block]! > 0) return;
    const head = block * HPAGE_FRAMES;
    this.flags.fill(0, head, head + HPAGE_FRAMES);
    this.#freedHuge.push(head);
  }
}
