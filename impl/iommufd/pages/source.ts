// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where the frames of pages come from: the memory of a process. (Later Linux
 * has files and DMA buffers beside it: enum iopt_address_type.)
 *
 * @module
 */

import type { KernelCore } from "../../kernel/core.ts";
import {
  FOLL_FORCE,
  FOLL_LONGTERM,
  FOLL_REMOTE,
  FOLL_WRITE,
  type Mm,
} from "../../kernel/interfaces/mm.ts";
import type { PageIndex, Pfn } from "../../lib/brands.ts";
import { EFAULT, EOVERFLOW } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";

/** Access flag: read. */
export const IOMMUFD_ACCESS_RW_READ = 0;
/** Access flag: write. */
export const IOMMUFD_ACCESS_RW_WRITE = 1 << 0;
/** Access flag: the caller is a kernel thread and may borrow the source's memory map. */
export const IOMMUFD_ACCESS_RW_KTHREAD = 1 << 1;
/** Access flag for selftests: go through the pages even where a plain copy would do. */
export const IOMMUFD_ACCESS_RW_SLOW_PATH = 1 << 2;

/** Where the frames of some pages come from. Page index 0 is at {@link start}. */
export interface PagesSource {
  /** First byte, a multiple of the page size: a place that the kernel chooses for an area is aligned like it. */
  readonly start: bigint;

  /**
   * Pins the pages from index `first` on, at most to `last`, and stores their
   * frames in `out` from `at` on; returns how many, at least 1. Throws EFAULT
   * for bad or vanished memory, EOVERFLOW for the last page of all, ENOMEM.
   */
  pin(first: PageIndex, last: PageIndex, out: Int32Array, at: number): number;

  /**
   * Copies between `data` and the source without a look at pinned frames, from
   * byte `offset` of page `index` on; `flags` are `IOMMUFD_ACCESS_RW_*`. False,
   * with nothing done, where only the frames will do. Throws EFAULT, ENOMEM.
   */
  copy(
    index: PageIndex,
    offset: number,
    data: Uint8Array,
    flags: number,
  ): boolean;
}

/** A linear piece of a process's memory. */
export class UserMemory implements PagesSource {
  /** Its address. */
  readonly start: bigint;
  readonly #kernel: KernelCore;
  readonly #mm: Mm;
  readonly #gupFlags: number;

  /** From the page-aligned address `start` on; `writable` says what its pages are pinned for. */
  constructor(kernel: KernelCore, mm: Mm, start: bigint, writable: boolean) {
    this.start = start;
    this.#kernel = kernel;
    this.#mm = mm;
    this.#gupFlags = gupFlags(kernel, writable);
  }

  /** Linux: pfn_reader_user_pin. */
  pin(first: PageIndex, last: PageIndex, out: Int32Array, at: number): number {
    const { alive } = this.#mm;
    const kernel = this.#kernel;
    const remote = this.#isRemote;
    const uaddr = this.#address(first);
    const npages = last - first + 1;
    if (remote && !alive) {
      throw EFAULT.because("the process that owned the memory is gone");
    }
    kernel.step("pages.pin");
    if (!remote) checkGupRange(kernel, uaddr, npages);
    const flags = this.#gupFlags | (remote ? FOLL_REMOTE : 0);
    return this.#mm.pinUserPages(uaddr, npages, flags, out, at);
  }

  /** Linux: iopt_pages_rw_access. */
  copy(
    index: PageIndex,
    offset: number,
    data: Uint8Array,
    flags: number,
  ): boolean {
    const mm = this.#mm;
    const write = (flags & IOMMUFD_ACCESS_RW_WRITE) !== 0;
    if (this.#isRemote || flags & IOMMUFD_ACCESS_RW_SLOW_PATH) {
      const kthread = (flags & IOMMUFD_ACCESS_RW_KTHREAD) !== 0;
      if (!kthread && mm.alive && offset + data.length <= PAGE_SIZE) {
        this.#copyPage(index, offset, data, write);
        return true;
      }
      if (!kthread || !mm.alive) return false;
    }
    const uaddr = this.#address(index) + offset;
    if (write) mm.copyToUser(uaddr, data);
    else mm.copyFromUser(data, uaddr);
    return true;
  }

  /** Copies within one page of another process (Linux: iopt_pages_rw_page). */
  #copyPage(
    index: PageIndex,
    offset: number,
    data: Uint8Array,
    write: boolean,
  ): void {
    const { frames } = this.#kernel;
    this.#kernel.step("access.rwPage");
    const flags = FOLL_REMOTE | (write ? FOLL_WRITE : 0);
    const pfn = new Int32Array(1);
    this.#mm.pinUserPages(this.#address(index), 1, flags, pfn, 0);
    const page = pfn[0]! as Pfn;
    if (write) frames.write(page, offset, data);
    else frames.read(page, offset, data);
    frames.unpin(pfn, 0, 1);
  }

  /** Whether somebody else than the owner of the memory makes the call. */
  get #isRemote(): boolean {
    return this.#mm !== this.#kernel.current?.mm;
  }

  /** Address of page `index` as a number; one that no process can have stays beyond them all. */
  #address(index: PageIndex): number {
    return Number(this.start) + index * PAGE_SIZE;
  }
}

/** Throws the errno of pages at the very end of the address space (Linux: gup_fast_fallback). */
export function checkGupRange(
  kernel: KernelCore,
  uaddr: number,
  npages: number,
): void {
  if (!kernel.revision.pages.pinChecksOverflow) return;
  if (uaddr + npages * PAGE_SIZE >= 2 ** 64) {
    throw EOVERFLOW.because("the last page of all cannot be pinned");
  }
}

/** Linux: pfn_reader_user_init. */
function gupFlags(kernel: KernelCore, writable: boolean): number {
  if (writable) return FOLL_LONGTERM | FOLL_WRITE;
  if (!kernel.revision.pages.readPinsForceWrite) return FOLL_LONGTERM;
  return FOLL_LONGTERM | FOLL_FORCE | FOLL_WRITE;
}
