// SPDX-License-Identifier: GPL-2.0-only

/**
 * A bitmap in user memory that stands for a range of IOVA.
 *
 * Bit n, counted from the least significant bit of the first byte, stands for
 * the nth piece of `pageSize` bytes. The bitmap may start at any byte. A window
 * of its pages is pinned at a time and moves to where the next bit must be
 * set; bits are only ever added to what is there. Linux: iova_bitmap.c, in the
 * form of 6.12's stable updates, which counts the bitmap in bytes.
 *
 * @module
 */

import type { DirtyBitmap } from "../../iommu/dirty.ts";
import type { KernelCore } from "../../kernel/core.ts";
import { FOLL_WRITE, type Mm } from "../../kernel/interfaces/mm.ts";
import type { Pfn } from "../../lib/brands.ts";
import { expandRuns } from "../../lib/frame_list.ts";
import { lowestBit } from "../../lib/u64.ts";
import { asErrno } from "../../uapi/errno.ts";
import { PAGE_SHIFT, PAGE_SIZE, TASK_SIZE } from "../../uapi/mman.ts";

/** Pages of a window: as many pointers as Linux has room for in a page. */
const WINDOW_PAGES = PAGE_SIZE / 8;
const BITS_PER_PAGE = PAGE_SIZE * 8;
const PAGE_MASK = BigInt(PAGE_SIZE - 1);
const PAGE_BITS = BigInt(PAGE_SHIFT);

/** Which bitmap stands for what. */
export interface IovaBitmapRange {
  /** First IOVA, a multiple of 2 KiB. */
  readonly iova: bigint;
  /** Bytes of IOVA, not 0, a multiple of 2 KiB. */
  readonly length: bigint;
  /** Bytes that a bit stands for, not 0. Of a number with several bits the lowest one counts. */
  readonly pageSize: bigint;
  /** Address of the bitmap. */
  readonly data: bigint;
}

/**
 * The recorder for drivers over such a bitmap (Linux: struct iova_bitmap).
 * Dispose it to unpin the window.
 *
 * IOVAs are offsets from the first one here, as numbers. They are exact:
 * either multiples of 2 KiB below 2^64, or where a byte of the bitmap begins,
 * and an address space has no more than 2^47 bytes for that.
 */
export class IovaBitmap implements DirtyBitmap, Disposable {
  /** Always: this is what wants to know. */
  readonly isRecording = true;
  readonly #kernel: KernelCore;
  readonly #mm: Mm;
  readonly #range: IovaBitmapRange;
  readonly #firstIova: number;
  /** Bytes of IOVA per bit, and their log2. */
  readonly #bitSize: number;
  readonly #shift: bigint;
  /** Bytes of the whole bitmap. */
  readonly #totalBytes: bigint;

  readonly #pfns = new Int32Array(WINDOW_PAGES);
  /** Pages pinned; without any the window is empty. */
  #npages = 0;
  /** First offset of the window, and the one after its last: what is in between needs no other window. */
  #start = 0;
  #end = 0;
  /** Number of the bit, from the first pinned page on, that stands for `#start`. */
  #startBit = 0;

  /**
   * A bitmap in the memory of `mm`; nothing is pinned yet, so that a bad
   * address shows only when a bit is to be set. Throws ENOMEM. (Linux:
   * iova_bitmap_alloc.)
   */
  constructor(kernel: KernelCore, mm: Mm, range: IovaBitmapRange) {
    kernel.step("bitmap.alloc");
    const { iova, length, pageSize, data } = range;
    this.#kernel = kernel;
    this.#mm = mm;
    this.#range = { iova, length, pageSize, data };
    this.#firstIova = Number(iova);
    this.#bitSize = Number(lowestBit(pageSize));
    this.#shift = BigInt(Math.log2(this.#bitSize));
    this.#totalBytes = ((length - 1n) >> this.#shift >> 3n) + 1n;
  }

  /** Unpins the window (Linux: iova_bitmap_free). */
  [Symbol.dispose](): void {
    this.#unpin();
  }

  /**
   * Sets the bits of pages, each as if it came alone: when one cannot be
   * recorded because the bitmap's page there is bad, the next one is tried all
   * the same. Pages that begin within the range may reach beyond it; so do the
   * bits then, up to the end of the window. (Linux: iova_bitmap_set.)
   */
  record(iova: number, pgsize: number, pgcount = 1): void {
    let offset = iova - this.#firstIova;
    for (let left = pgcount; left > 0;) {
      const fitting = offset < this.#start
        ? 0
        : Math.floor((this.#end - offset) / pgsize);
      if (fitting > 0) {
        const count = Math.min(left, fitting);
        const end = offset + count * pgsize;
        this.#setBits(this.#bitOf(offset), this.#endBitOf(end));
        offset = end;
        left -= count;
      } else {
        this.#recordAcross(offset, offset + pgsize);
        offset += pgsize;
        left--;
      }
    }
  }

  /** Sets the bits of one page that is not in the window as a whole. */
  #recordAcross(from: number, end: number): void {
    for (;;) {
      if (from < this.#start || end > this.#end) {
        if (!this.#moveTo(from)) return;
      }
      const pinnedBits = this.#npages * BITS_PER_PAGE;
      const endBit = this.#endBitOf(end);
      this.#setBits(this.#bitOf(from), Math.min(endBit, pinnedBits));
      if (endBit <= pinnedBits) return;
      from = this.#start + (pinnedBits - this.#startBit) * this.#bitSize;
    }
  }

  #bitOf(offset: number): number {
    return Math.floor((offset - this.#start) / this.#bitSize) + this.#startBit;
  }

  #endBitOf(end: number): number {
    return Math.ceil((end - this.#start) / this.#bitSize) + this.#startBit;
  }

  /**
   * Moves the window so that it begins with the byte for `offset`. False if
   * that is outside of the bitmap or if its page cannot be pinned. (Linux:
   * iova_bitmap_advance_to.)
   */
  #moveTo(offset: number): boolean {
    if (offset < 0) return false;
    const index = BigInt(offset) >> this.#shift >> 3n;
    if (index >= this.#totalBytes) return false;
    this.#unpin();
    return this.#pin(index);
  }

  /** Pins the window that begins with byte `index` of the bitmap; false if it cannot (Linux: iova_bitmap_get). */
  #pin(index: bigint): boolean {
    const uaddr = BigInt.asUintN(64, this.#range.data + index);
    const pageOffset = Number(uaddr & PAGE_MASK);
    const first = Number(uaddr & ~PAGE_MASK);
    // A bitmap that does not begin with a page gets one page more, needed or not.
    const wanted = ((this.#totalBytes - index + PAGE_MASK) >> PAGE_BITS) +
      (pageOffset > 0 ? 1n : 0n);
    const npages = Math.min(Number(wanted), WINDOW_PAGES);
    // All of it or nothing must be user space; where mappings end is another matter.
    if (first + npages * PAGE_SIZE > TASK_SIZE) return false;
    const { tempBuffers } = this.#kernel;
    const list = tempBuffers.takeList(npages);
    try {
      this.#mm.pinUserPages(first, npages, FOLL_WRITE, list);
      this.#npages = expandRuns(list, this.#pfns, 0);
    } catch (error) {
      asErrno(error);
      return false;
    } finally {
      tempBuffers.giveList(list);
    }
    this.#startBit = pageOffset * 8;
    this.#start = Number(index << 3n << this.#shift);
    this.#end = this.#windowEnd(index, this.#npages * PAGE_SIZE - pageOffset);
    return true;
  }

  /**
   * The offset where a window of `bytes` bytes from byte `index` on ends: with
   * the pages or with the range. Calculates modulo 2^64 as Linux does, where a
   * window beyond that seems empty and is moved for each page. (Linux:
   * iova_bitmap_mapped_length.)
   */
  #windowEnd(index: bigint, bytes: number): number {
    const { iova, length } = this.#range;
    const left = this.#totalBytes - index;
    const count = left < bytes ? left : BigInt(bytes);
    const start = iova + (index << 3n << this.#shift);
    const span = count << 3n << this.#shift;
    const last = BigInt.asUintN(64, start + span - 1n);
    const max = iova + length - 1n;
    return Number((last > max ? max : last) + 1n - iova);
  }

  #unpin(): void {
    this.#kernel.frames.unpin(this.#pfns, 0, this.#npages);
    this.#npages = 0;
    this.#start = 0;
    this.#end = 0;
  }

  /** Sets bits from `bit` to `end`, exclusive, counted from the first pinned page on. */
  #setBits(bit: number, end: number): void {
    while (bit < end) {
      const pfn = this.#pfns[bit >> (PAGE_SHIFT + 3)]! as Pfn;
      const from = bit & (BITS_PER_PAGE - 1);
      const count = Math.min(BITS_PER_PAGE - from, end - bit);
      this.#kernel.frames.setBits(pfn, from, from + count - 1);
      bit += count;
    }
  }
}
