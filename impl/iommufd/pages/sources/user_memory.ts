// SPDX-License-Identifier: GPL-2.0-only

/**
 * The memory of a process as a source of pages (Linux: IOPT_ADDRESS_USER).
 *
 * @module
 */

import type { KernelCore } from "../../../kernel/core.ts";
import {
  FOLL_FORCE,
  FOLL_LONGTERM,
  FOLL_REMOTE,
  FOLL_WRITE,
  type Mm,
} from "../../../kernel/interfaces/mm.ts";
import type { Pfn } from "../../../lib/brands.ts";
import { type FrameList, makeFrameList } from "../../../lib/frame_list.ts";
import { EFAULT, EOVERFLOW } from "../../../uapi/errno.ts";
import { PAGE_SIZE } from "../../../uapi/mman.ts";
import { PINNED_FILLING } from "../fill.ts";
import {
  type Filling,
  type FrameSource,
  IOMMUFD_ACCESS_RW_KTHREAD,
  IOMMUFD_ACCESS_RW_SLOW_PATH,
  IOMMUFD_ACCESS_RW_WRITE,
  type PagesSource,
} from "../source.ts";

/** A process's memory, as all pages have it that it maps for reading, or for writing. */
export class UserMemory implements PagesSource, FrameSource {
  readonly #kernel: KernelCore;
  readonly #mm: Mm;
  readonly #gupFlags: number;
  /** Room for one page. */
  readonly #list = makeFrameList(1);

  /** `writable` says what its pages are pinned for. */
  constructor(kernel: KernelCore, mm: Mm, writable: boolean) {
    this.#kernel = kernel;
    this.#mm = mm;
    this.#gupFlags = gupFlags(kernel, writable);
  }

  /** Itself. */
  get frames(): this {
    return this;
  }

  /** By pins. */
  get filling(): Filling {
    return PINNED_FILLING;
  }

  /** For a drawing. */
  get place(): string {
    return "user memory";
  }

  /** Nobody takes it back. */
  get revoked(): boolean {
    return false;
  }

  /** It is a part of its owner's address space. */
  get ownerMayChange(): boolean {
    return false;
  }

  /** Pins find pages. */
  get listsFolios(): boolean {
    return false;
  }

  /** Whose it is and where. */
  describe(owner: string, start: string): string {
    return `of ${owner} at ${start}`;
  }

  /** Nothing is held. */
  release(): void {}

  /** Linux: pfn_reader_user_pin. */
  pin(first: number, npages: number, list: FrameList): number {
    const { alive } = this.#mm;
    const kernel = this.#kernel;
    const remote = this.#isRemote;
    const uaddr = first * PAGE_SIZE;
    if (remote && !alive) {
      throw EFAULT.because("the process that owned the memory is gone");
    }
    kernel.step("pages.pin");
    if (!remote) checkGupRange(kernel, uaddr, npages);
    const flags = this.#gupFlags | (remote ? FOLL_REMOTE : 0);
    return this.#mm.pinUserPages(uaddr, npages, flags, list);
  }

  /** Linux: iopt_pages_rw_access. */
  copy(
    page: number,
    offset: number,
    data: Uint8Array,
    flags: number,
  ): boolean {
    const mm = this.#mm;
    const uaddr = page * PAGE_SIZE;
    const write = (flags & IOMMUFD_ACCESS_RW_WRITE) !== 0;
    if (this.#isRemote || flags & IOMMUFD_ACCESS_RW_SLOW_PATH) {
      const kthread = (flags & IOMMUFD_ACCESS_RW_KTHREAD) !== 0;
      if (!kthread && mm.alive && offset + data.length <= PAGE_SIZE) {
        this.#copyPage(uaddr, offset, data, write);
        return true;
      }
      if (!kthread || !mm.alive) return false;
    }
    if (write) mm.copyToUser(uaddr + offset, data);
    else mm.copyFromUser(data, uaddr + offset);
    return true;
  }

  /** Copies within one page of another process (Linux: iopt_pages_rw_page). */
  #copyPage(
    uaddr: number,
    offset: number,
    data: Uint8Array,
    write: boolean,
  ): void {
    const { frames } = this.#kernel;
    this.#kernel.step("access.rwPage");
    const flags = FOLL_REMOTE | (write ? FOLL_WRITE : 0);
    const list = this.#list;
    list.end = 0;
    this.#mm.pinUserPages(uaddr, 1, flags, list);
    const page = list.pfns[0]! as Pfn;
    if (write) frames.write(page, offset, data);
    else frames.read(page, offset, data);
    frames.unpinRange(page, 1);
  }

  /** Whether somebody else than the owner of the memory makes the call. */
  get #isRemote(): boolean {
    return this.#mm !== this.#kernel.current?.mm;
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
