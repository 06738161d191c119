// SPDX-License-Identifier: GPL-2.0-only

/**
 * The mappings of a process: which addresses there are and what is behind them.
 *
 * @module
 */

import { HPAGE_SIZE, PAGE_SIZE } from "../../uapi/mman.ts";
import type { MemoryObject } from "./memory_object.ts";
import type { PrivatePages } from "./private_pages.ts";

/** What a mapping is made with. Addresses are bytes, multiples of a page. */
export interface VmaOptions {
  /** First address. */
  readonly start: number;
  /** Address after the last one. */
  readonly end: number;
  /** `PROT_*` bits. */
  readonly prot: number;
  /** Writes reach the object; otherwise they go to private copies. */
  readonly shared: boolean;
  /** False where mprotect may never make it writable: a file that was not opened for that. */
  readonly mayWrite: boolean;
  /** Huge pages. */
  readonly huge: boolean;
  /** What is mapped, with a reference that the mapping takes over; null for private anonymous memory. */
  readonly object: MemoryObject | null;
  /** Page index in the object of the first address. */
  readonly pageOffset: number;
  /** The private pages of the process. */
  readonly privatePages: PrivatePages;
}

/** One mapping (Linux: struct vm_area_struct). */
export class Vma {
  /** First address. */
  start: number;
  /** Address after the last one. */
  end: number;
  /** `PROT_*` bits. */
  prot: number;
  /** Not copied by fork (Linux: VM_DONTCOPY). */
  dontFork = false;
  /** Writes reach the object. */
  readonly shared: boolean;
  /** May be made writable. */
  readonly mayWrite: boolean;
  /** Huge pages. */
  readonly huge: boolean;
  /** What is mapped; null for private anonymous memory. */
  readonly object: MemoryObject | null;
  /** Page index in the object of the first address. */
  pageOffset: number;
  readonly #privatePages: PrivatePages;

  /** Takes over the reference on `object`. */
  constructor(options: VmaOptions) {
    this.start = options.start;
    this.end = options.end;
    this.prot = options.prot;
    this.shared = options.shared;
    this.mayWrite = options.mayWrite;
    this.huge = options.huge;
    this.object = options.object;
    this.pageOffset = options.pageOffset;
    this.#privatePages = options.privatePages;
    if (!this.shared) this.object?.privateVmas.add(this);
  }

  /** Smallest part that can be unmapped or changed, in bytes. */
  get granule(): number {
    return this.huge ? HPAGE_SIZE : PAGE_SIZE;
  }

  /** Page index in the object of page `page` of the address space. */
  objectIndex(page: number): number {
    return page - this.start / PAGE_SIZE + this.pageOffset;
  }

  /** A copy for `privatePages`, with an object reference of its own. */
  clone(privatePages: PrivatePages): Vma {
    const { start, end, prot, shared, mayWrite, huge, pageOffset } = this;
    const object = this.object?.get() ?? null;
    const copy = new Vma({
      start,
      end,
      prot,
      shared,
      mayWrite,
      huge,
      object,
      pageOffset,
      privatePages,
    });
    copy.dontFork = this.dontFork;
    return copy;
  }

  /** Cuts at `address`, which lies inside: this one keeps the lower part, the upper one is returned. */
  split(address: number): Vma {
    const upper = this.clone(this.#privatePages);
    upper.pageOffset = this.objectIndex(address / PAGE_SIZE);
    upper.start = address;
    this.end = address;
    return upper;
  }

  /** Drops the private pages of object indexes from `index` on. */
  dropPrivateFrom(index: number): void {
    const page = index - this.pageOffset + this.start / PAGE_SIZE;
    this.#privatePages.zap(
      Math.max(page, this.start / PAGE_SIZE),
      this.end / PAGE_SIZE,
    );
  }

  /** Drops the reference on the object. */
  close(): void {
    this.object?.privateVmas.delete(this);
    this.object?.put();
  }

  /** True if `next` continues this mapping so that both can be one (Linux: can_vma_merge_after). */
  continuesIn(next: Vma): boolean {
    return this.end === next.start && this.prot === next.prot &&
      this.shared === next.shared && this.mayWrite === next.mayWrite &&
      this.huge === next.huge && this.dontFork === next.dontFork &&
      this.object === next.object &&
      (this.object === null ||
        this.objectIndex(next.start / PAGE_SIZE) === next.pageOffset);
  }
}

/** The mappings of one process, by address, never overlapping. */
export class VmaList {
  #list: Vma[] = [];
  /** The mapping that was found last: accesses cluster. */
  #last: Vma | undefined;

  /** All of them, by address. */
  get all(): readonly Vma[] {
    return this.#list;
  }

  /** The mapping that has `address`. Anything that is no user address has none. */
  lookup(address: number): Vma | undefined {
    const last = this.#last;
    if (last !== undefined && address >= last.start && address < last.end) {
      return last;
    }
    const vma = this.#list[this.#indexAfter(address)];
    if (vma === undefined || !(address >= vma.start)) return undefined;
    this.#last = vma;
    return vma;
  }

  /** True if any of [start, end) is mapped. */
  intersects(start: number, end: number): boolean {
    const vma = this.#list[this.#indexAfter(start)];
    return vma !== undefined && vma.start < end;
  }

  /** Adds a mapping where there is none, joined with its neighbours where it continues them. */
  insert(vma: Vma): void {
    const index = this.#indexAfter(vma.start);
    this.#list.splice(index, 0, vma);
    this.#join(index + 1);
    this.#join(index);
  }

  /** Takes the mappings out of [start, end); its borders are cut first. */
  remove(start: number, end: number): Vma[] {
    this.#last = undefined;
    const [from, to] = this.#cut(start, end);
    return this.#list.splice(from, to - from);
  }

  /** Runs `change` on the mappings in [start, end), cut at the borders; joins what is alike afterwards. */
  change(start: number, end: number, change: (vma: Vma) => void): void {
    this.#last = undefined;
    const [from, to] = this.#cut(start, end);
    for (let i = from; i < to; i++) change(this.#list[i]!);
    for (let i = to; i >= from; i--) this.#join(i);
  }

  /** The mappings that overlap [start, end), whole. */
  overlapping(start: number, end: number): readonly Vma[] {
    const from = this.#indexAfter(start);
    let to = from;
    while (to < this.#list.length && this.#list[to]!.start < end) to++;
    return this.#list.slice(from, to);
  }

  /**
   * The highest free `length` bytes that end at or below `high`, at a multiple
   * of `alignment`; undefined if there are none. Only holes with `padding`
   * bytes to spare count, as in Linux. (vm_unmapped_area, top-down.)
   */
  findTopDown(
    length: number,
    low: number,
    high: number,
    alignment: number,
    padding: number,
  ): number | undefined {
    let end = high;
    for (let i = this.#list.length - 1; i >= -1; i--) {
      const vma = this.#list[i];
      const start = Math.max(vma?.end ?? 0, low);
      if (end - start >= length + padding) {
        return Math.floor((end - length) / alignment) * alignment;
      }
      end = Math.min(end, vma?.start ?? 0);
    }
    return undefined;
  }

  /** As {@link findTopDown}, the lowest address instead (vm_unmapped_area, bottom-up). */
  findBottomUp(
    length: number,
    low: number,
    high: number,
    alignment: number,
    padding: number,
  ): number | undefined {
    let start = low;
    for (let i = 0; i <= this.#list.length; i++) {
      const vma = this.#list[i];
      const end = Math.min(vma?.start ?? high, high);
      if (end - start >= length + padding) {
        return Math.ceil(start / alignment) * alignment;
      }
      start = Math.max(start, vma?.end ?? high);
    }
    return undefined;
  }

  /** Index of the first mapping that ends after `address` (Linux: find_vma). */
  #indexAfter(address: number): number {
    let low = 0;
    let high = this.#list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#list[middle]!.end > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Makes borders at both ends; returns the indexes of what lies between. */
  #cut(start: number, end: number): [from: number, to: number] {
    let from = this.#indexAfter(start);
    if (this.#cutAt(from, start)) from++;
    const to = this.#indexAfter(end);
    return [from, this.#cutAt(to, end) ? to + 1 : to];
  }

  #cutAt(index: number, address: number): boolean {
    const vma = this.#list[index];
    if (vma === undefined || vma.start >= address) return false;
    this.#list.splice(index + 1, 0, vma.split(address));
    return true;
  }

  /** Joins mapping `index` to the one before it if that one continues in it. */
  #join(index: number): void {
    const before = this.#list[index - 1];
    const vma = this.#list[index];
    if (before === undefined || vma === undefined) return;
    if (!before.continuesIn(vma)) return;
    before.end = vma.end;
    this.#list.splice(index, 1);
    vma.close();
    this.#last = undefined;
  }
}
