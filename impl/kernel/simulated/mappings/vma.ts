// SPDX-License-Identifier: GPL-2.0-only

/**
 * The mappings of a process: which addresses there are and what is behind them.
 *
 * @module
 */

import { MADV_NORMAL, PAGE_SIZE } from "../../../uapi/mman.ts";
import type {
  MemoryObject,
  PrivateMapping,
} from "../../interfaces/memory_object.ts";
import type { DeviceMapping } from "../../files/file.ts";
import type { PrivatePages } from "../pages/private_pages.ts";
import { SpanTree } from "./span_tree.ts";

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
  /** Bytes of its pages: the smallest part that can be unmapped or changed. */
  readonly granule: number;
  /** What is mapped, with a reference that the mapping takes over; null for private anonymous memory. */
  readonly object: MemoryObject | null;
  /** Page index in the object of the first address. */
  readonly pageOffset: number;
  /** The private pages of the process. */
  readonly privatePages: PrivatePages;
  /** Not copied by fork; default false. */
  readonly dontFork?: boolean;
  /** `MADV_*`: how it will be read; default MADV_NORMAL. */
  readonly reading?: number;
  /** The mapping of a device whose memory `object` is. */
  readonly device?: DeviceMapping | undefined;
}

/** One mapping (Linux: struct vm_area_struct). */
export class Vma implements PrivateMapping {
  /** First address. */
  start: number;
  /** Address after the last one. */
  end: number;
  /** `PROT_*` bits. */
  prot: number;
  /** Not copied by fork (Linux: VM_DONTCOPY). */
  dontFork: boolean;
  /** How it will be read: MADV_NORMAL, MADV_RANDOM or MADV_SEQUENTIAL (Linux: VM_RAND_READ, VM_SEQ_READ). */
  reading: number;
  /** Writes reach the object. */
  readonly shared: boolean;
  /** May be made writable. */
  readonly mayWrite: boolean;
  /** Bytes of its pages: the smallest part that can be unmapped or changed. */
  readonly granule: number;
  /** What is mapped; null for private anonymous memory. */
  readonly object: MemoryObject | null;
  /** The mapping of a device whose memory `object` is (Linux: VM_PFNMAP). */
  readonly device: DeviceMapping | undefined;
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
    this.granule = options.granule;
    this.object = options.object;
    this.pageOffset = options.pageOffset;
    this.#privatePages = options.privatePages;
    this.dontFork = options.dontFork ?? false;
    this.reading = options.reading ?? MADV_NORMAL;
    this.device = options.device;
    this.device?.open();
    const { object } = this;
    if (object === null) return;
    if (!this.shared) object.privateMappings.add(this);
    else if (this.mayWrite) object.writableMappings++;
  }

  /** Whether its pages are huge. */
  get huge(): boolean {
    return this.granule > PAGE_SIZE;
  }

  /** Page index in the object of page `page` of the address space. */
  objectIndex(page: number): number {
    return page - this.start / PAGE_SIZE + this.pageOffset;
  }

  /** A copy for `privatePages`, with an object reference of its own. */
  clone(privatePages: PrivatePages): Vma {
    const object = this.object?.get() ?? null;
    return new Vma({ ...this, object, privatePages });
  }

  /** Cuts at `address`, which lies inside: this one keeps the lower part, the upper one is returned. */
  split(address: number): Vma {
    const upper = this.clone(this.#privatePages);
    upper.pageOffset = this.objectIndex(address / PAGE_SIZE);
    upper.start = address;
    this.end = address;
    return upper;
  }

  /** Drops the private pages of the object's pages [first, end). */
  dropPrivate(first: number, end: number): void {
    const start = this.start / PAGE_SIZE;
    const shift = start - this.pageOffset;
    this.#privatePages.zap(
      Math.max(first + shift, start),
      Math.min(end + shift, this.end / PAGE_SIZE),
    );
  }

  /** Drops the reference on the object. */
  close(): void {
    const { object } = this;
    if (object !== null) {
      if (!this.shared) object.privateMappings.delete(this);
      else if (this.mayWrite) object.writableMappings--;
      object.put();
    }
    this.device?.close();
  }

  /** True if `next` continues this mapping so that both can be one (Linux: can_vma_merge_after). */
  continuesIn(next: Vma): boolean {
    return this.device === undefined && next.device === undefined &&
      this.end === next.start && this.prot === next.prot &&
      this.shared === next.shared && this.mayWrite === next.mayWrite &&
      this.granule === next.granule && this.dontFork === next.dontFork &&
      this.reading === next.reading &&
      this.object === next.object &&
      (this.object === null ||
        this.objectIndex(next.start / PAGE_SIZE) === next.pageOffset);
  }
}

/** The mappings of one process, by address, never overlapping. */
export class VmaList {
  readonly #tree = new SpanTree<Vma>();
  /** The mapping that was found last: accesses cluster. */
  #last: Vma | undefined;

  /** Number of mappings (Linux: mm->map_count). */
  get count(): number {
    return this.#tree.size;
  }

  /** All of them, by address. */
  [Symbol.iterator](): Iterator<Vma> {
    return this.#tree[Symbol.iterator]();
  }

  /** The mapping that has `address`. Anything that is no user address has none. */
  lookup(address: number): Vma | undefined {
    const last = this.#last;
    if (last !== undefined && address >= last.start && address < last.end) {
      return last;
    }
    const vma = this.#tree.after(address);
    if (vma === undefined || !(address >= vma.start)) return undefined;
    this.#last = vma;
    return vma;
  }

  /** True if any of [start, end) is mapped. */
  intersects(start: number, end: number): boolean {
    const vma = this.#tree.after(start);
    return vma !== undefined && vma.start < end;
  }

  /** Adds a mapping where there is none, joined with its neighbours where it continues them. */
  insert(vma: Vma): void {
    this.#tree.insert(vma);
    this.#joinAround(vma.start, vma.end);
  }

  /** Takes the mappings out of [start, end); its borders are cut first. */
  remove(start: number, end: number): Vma[] {
    const vmas = this.#cut(start, end);
    for (const vma of vmas) this.#tree.remove(vma);
    return vmas;
  }

  /** Runs `change` on the mappings in [start, end), cut at the borders; joins what is alike afterwards. */
  change(start: number, end: number, change: (vma: Vma) => void): void {
    this.#cut(start, end).forEach(change);
    this.#joinAround(start, end);
  }

  /** The mappings that overlap [start, end), whole. */
  overlapping(start: number, end: number): Vma[] {
    const found: Vma[] = [];
    let vma = this.#tree.after(start);
    while (vma !== undefined && vma.start < end) {
      found.push(vma);
      vma = this.#tree.after(vma.end);
    }
    return found;
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
    const hole = this.#tree.hole(low, high, length + padding, true);
    return hole && Math.floor((hole.end - length) / alignment) * alignment;
  }

  /** As {@link findTopDown}, the lowest address instead (vm_unmapped_area, bottom-up). */
  findBottomUp(
    length: number,
    low: number,
    high: number,
    alignment: number,
    padding: number,
  ): number | undefined {
    const hole = this.#tree.hole(low, high, length + padding, false);
    return hole && Math.ceil(hole.start / alignment) * alignment;
  }

  /** Makes borders at both ends; returns what lies between. */
  #cut(start: number, end: number): Vma[] {
    this.#last = undefined;
    for (const border of [start, end]) {
      const vma = this.#tree.after(border);
      if (vma === undefined || vma.start >= border) continue;
      this.#tree.remove(vma);
      const upper = vma.split(border);
      this.#tree.insert(vma);
      this.#tree.insert(upper);
    }
    return this.overlapping(start, end);
  }

  /** Joins the mappings that overlap or touch [start, end) where one continues the other. */
  #joinAround(start: number, end: number): void {
    for (const vma of this.overlapping(start, end + 1)) {
      const before = this.#tree.after(vma.start - 1)!;
      if (before === vma || !before.continuesIn(vma)) continue;
      this.#tree.remove(before);
      this.#tree.remove(vma);
      before.end = vma.end;
      this.#tree.insert(before);
      vma.close();
      this.#last = undefined;
    }
  }
}
