// SPDX-License-Identifier: GPL-2.0-only

/**
 * Memory that several mappings share: anonymous shared memory, the contents of
 * a memfd, a file's page cache (Linux: struct address_space).
 *
 * @module
 */

import type { FrameList } from "../../../lib/frame_list.ts";
import { EFAULT } from "../../../uapi/errno.ts";
import { PAGE_SIZE } from "../../../uapi/mman.ts";
import type { Frames } from "./frames.ts";
import {
  LEAF_PAGES,
  PageTable,
  PTE_EXCLUSIVE,
  PTE_PFN_SHIFT,
} from "./page_table.ts";
import type {
  MemoryObject,
  PrivateMapping,
} from "../../interfaces/memory_object.ts";
import { KernelBug } from "../../warn.ts";

/** Pages by index, allocated when first touched. Starts with one reference. */
export class SimulatedObject implements MemoryObject {
  readonly pageSize: number;
  readonly huge: boolean;
  /** The private mappings of this object: truncation drops their copies too (Linux: i_mmap). */
  readonly privateMappings: Set<PrivateMapping> = new Set();
  /** Shared mappings that may write it. */
  writableMappings = 0;
  /** Sealed against writes to come. */
  writeSealed = false;

  /** Frames by page index; every entry is exclusive. */
  readonly #pages = new PageTable();
  readonly #frames: Frames;
  #size: number;
  /**
   * Index of the page after the last one that a fault allocates: the last one
   * that has a byte, and of huge pages the last one that is whole. What was
   * allocated behind it is not there yet, unless it is huge.
   */
  #end: number;
  #refs = 1;
  readonly #word = new Int32Array(1);
  readonly #wordBytes = new Uint8Array(this.#word.buffer);

  /** `size` in bytes. */
  constructor(frames: Frames, size: number, pageSize: number = PAGE_SIZE) {
    this.#frames = frames;
    this.#size = size;
    this.pageSize = pageSize;
    this.huge = pageSize > PAGE_SIZE;
    this.#end = this.#endOf(size);
  }

  /** Length in bytes. */
  get size(): number {
    return this.#size;
  }

  /** Mappings and files that hold it; 0 after its pages were dropped. */
  get refs(): number {
    return this.#refs;
  }

  /** Takes a reference. */
  get(): this {
    if (this.#refs === 0) throw new KernelBug("Cannot get a dropped object");
    this.#refs++;
    return this;
  }

  /** Drops a reference; the last one drops the pages. */
  put(): void {
    if (this.#refs === 0) throw new KernelBug("Cannot put a dropped object");
    if (--this.#refs === 0) this.#pages.zap(this.#frames, 0, Infinity);
  }

  /** The frame of page `index`, 0 if it is missing. Throws EFAULT beyond the end. */
  present(index: number): number {
    const pfn = this.#pages.get(index) >> PTE_PFN_SHIFT;
    const isThere = index < this.#end || this.huge && pfn !== 0;
    if (!isThere) throw EFAULT;
    return pfn;
  }

  #endOf(size: number): number {
    const whole = this.huge ? size - size % this.pageSize : size;
    return Math.ceil(whole / PAGE_SIZE);
  }

  /**
   * The frame of page `index`, allocated if it is missing. Throws EFAULT beyond
   * the end, ENOMEM. (Linux: shmem_fault, hugetlb_no_page.)
   */
  frameAt(index: number): number {
    return this.present(index) || this.#fill(index);
  }

  /** Pins the frames of `count` pages from page `index` on, as many as are present; returns how many. */
  pin(index: number, count: number, list: FrameList): number {
    const there = this.huge ? count : Math.min(count, this.#end - index);
    return this.#pages.pin(this.#frames, index, there, list);
  }

  /** Whether any of its pages is pinned (Linux: memfd_wait_for_pins). */
  isPinned(): boolean {
    return this.#pages.isPinned(this.#frames);
  }

  /**
   * Sets the length. Pages beyond it are dropped, from private mappings too,
   * and the rest of the last page is zeroed. (Linux: shmem_setattr,
   * hugetlbfs_setattr.)
   */
  truncate(size: number): void {
    const grows = size > this.#size;
    const end = Math.ceil(size / PAGE_SIZE);
    this.#size = size;
    this.#end = this.#endOf(size);
    if (grows) return;
    this.#dropPrivate(end, Infinity);
    this.#pages.zap(this.#frames, end, Infinity);
    this.#clear(size, end * PAGE_SIZE);
  }

  /** Allocates what is missing of the pages [first, end), all or nothing. Throws ENOMEM. (Linux: shmem_fallocate.) */
  allocate(first: number, end: number): void {
    const added: number[] = [];
    try {
      for (let index = first; index < end; index += this.#unit) {
        if (this.#pages.get(index) !== 0) continue;
        this.#fill(index);
        added.push(index);
      }
    } catch (error) {
      for (const index of added) {
        this.#pages.zap(this.#frames, index, index + this.#unit);
      }
      throw error;
    }
  }

  /**
   * Makes the bytes [from, to) zero. Whole pages are dropped; private copies of
   * them stay, unless they are huge. (Linux: shmem_fallocate,
   * hugetlbfs_punch_hole.)
   */
  punch(from: number, to: number): void {
    const size = this.pageSize;
    const start = Math.ceil(from / size) * size;
    const end = Math.floor(to / size) * size;
    if (start >= end) return this.#clear(from, to);
    this.#clear(from, start);
    if (this.huge) this.#dropPrivate(start / PAGE_SIZE, end / PAGE_SIZE);
    this.#pages.zap(this.#frames, start / PAGE_SIZE, end / PAGE_SIZE);
    this.#clear(end, to);
  }

  /** Makes it at least `size` bytes long (Linux: hugetlbfs_file_mmap). */
  extend(size: number): void {
    if (size > this.#size) this.truncate(size);
  }

  /** Fills `to` from byte `offset` on; returns the bytes up to the end of the object. */
  read(offset: number, to: Uint8Array): number {
    const count = Math.max(0, Math.min(to.length, this.#size - offset));
    for (let done = 0; done < count;) {
      const at = (offset + done) % PAGE_SIZE;
      const n = Math.min(PAGE_SIZE - at, count - done);
      // A hole reads as zeroes and stays one.
      const index = Math.floor((offset + done) / PAGE_SIZE);
      const pfn = this.#pages.get(index) >> PTE_PFN_SHIFT;
      this.#frames.read(pfn, at, to.subarray(done, done + n));
      done += n;
    }
    return count;
  }

  /**
   * Writes `from` at byte `offset`, making the object longer if need be.
   * Returns the bytes written: fewer when memory is short. Throws ENOMEM if
   * there are none. (Linux: generic_perform_write.)
   */
  write(offset: number, from: Uint8Array): number {
    for (let done = 0; done < from.length;) {
      const at = (offset + done) % PAGE_SIZE;
      const n = Math.min(PAGE_SIZE - at, from.length - done);
      const index = Math.floor((offset + done) / PAGE_SIZE);
      try {
        const pfn = this.#pages.get(index) >> PTE_PFN_SHIFT ||
          this.#fill(index);
        this.#frames.write(pfn, at, from.subarray(done, done + n));
      } catch (error) {
        if (done === 0) throw error;
        return done;
      }
      done += n;
      this.extend(offset + done);
    }
    return from.length;
  }

  /** The 4 bytes from `4 * index` on. */
  word(index: number): number {
    this.read(4 * index, this.#wordBytes);
    return this.#word[0]!;
  }

  /** Pages that are allocated together: 1 GiB comes in parts of 2 MiB. */
  get #unit(): number {
    return this.huge ? LEAF_PAGES : 1;
  }

  #dropPrivate(first: number, end: number): void {
    for (const vma of this.privateMappings) vma.dropPrivate(first, end);
  }

  /** Makes the bytes [from, to) of the pages that are there zero. */
  #clear(from: number, to: number): void {
    for (let at = from; at < to;) {
      const index = Math.floor(at / PAGE_SIZE);
      const end = Math.min(to, (index + 1) * PAGE_SIZE);
      const start = index * PAGE_SIZE;
      const pte = this.#pages.get(index);
      if (pte !== 0) {
        this.#frames.clear(pte >> PTE_PFN_SHIFT, at - start, end - start);
      }
      at = end;
    }
  }

  /** Allocates the missing page `index`. Throws ENOMEM. */
  #fill(index: number): number {
    if (this.huge) {
      const head = this.#frames.allocHuge();
      this.#pages.setHuge(index, head, PTE_EXCLUSIVE);
      return head + index % LEAF_PAGES;
    }
    const pfn = this.#frames.alloc();
    this.#pages.set(index, (pfn << PTE_PFN_SHIFT) | PTE_EXCLUSIVE);
    return pfn;
  }
}
