// SPDX-License-Identifier: GPL-2.0-only

/**
 * A process's memory as the rest of the kernel sees it.
 *
 * `AddressSpace` simulates one; an implementation over the memory of a real
 * process must fit here too, so nothing outside impl/kernel may ask for more.
 *
 * @module
 */

import type { Pfn } from "../../lib/brands.ts";
import type { FrameList } from "../../lib/frame_list.ts";
import { TASK_SIZE } from "../../uapi/mman.ts";

/** gup flag: the pages will be written; breaks copy-on-write. */
export const FOLL_WRITE = 1 << 0;
/** gup flag: also where the mapping lacks the permission, if it is private. */
export const FOLL_FORCE = 1 << 3;
/** gup flag: the pin stays for long: a private page is unshared even for reading. */
export const FOLL_LONGTERM = 1 << 8;
/** gup flag: the memory is not that of the running process, so that there is no fast way (Linux: pin_user_pages_remote). */
export const FOLL_REMOTE = 1 << 17;

/** Whether a process can have such memory: no bytes are anywhere (Linux: access_ok, behind which a copy of none leaves none over). */
export function isUserRange(address: number, length: number): boolean {
  if (length === 0) return true;
  return Number.isSafeInteger(address) && address >= 0 &&
    address + length <= TASK_SIZE;
}

/**
 * One process's memory. Addresses are byte addresses as numbers; one that no
 * process can have (2^47 and above, or NaN) is a bad address, not a bug.
 */
export interface Mm {
  /** False after the last process that used it exited: nothing can be pinned any more (Linux: mm_users is 0). */
  readonly alive: boolean;
  /** Pages charged by RLIMIT_MEMLOCK accounting per process (Linux: mm->locked_vm, VmLck). */
  lockedVm: number;
  /** Pages pinned for long (Linux: mm->pinned_vm, VmPin). */
  pinnedVm: number;

  /**
   * Pins up to `npages` pages from the page-aligned address `uaddr` on and
   * adds their frames to `list`, which has room for so many runs. Returns how
   * many were pinned, at least 1: fewer than asked when a later page cannot be
   * had. Throws EFAULT when the first one cannot, ENOMEM when there is no
   * frame. (Linux: pin_user_pages_fast, pin_user_pages_remote.)
   */
  pinUserPages(
    uaddr: number,
    npages: number,
    gupFlags: number,
    list: FrameList,
  ): number;

  /**
   * The frame behind an address, faulted in for reading, with no reference
   * taken. Throws EFAULT. (Linux: get_user_pages_fast followed by put_page.)
   */
  userPage(uaddr: number): Pfn;

  /**
   * The physical address of the page behind an address, as DMA reaches it, where
   * it is a device's and may be accessed so; undefined for other memory. Absent
   * where memory of devices cannot be found. (Linux: follow_pfnmap_start.)
   */
  devicePage?(uaddr: number, write: boolean): number | undefined;

  /**
   * Fills `to` from the user's memory. Throws EFAULT, which fault injection
   * causes too; `to` may then be filled in part.
   */
  copyFromUser(to: Uint8Array, uaddr: number): void;

  /**
   * Writes `from` to the user's memory. Throws EFAULT, with the bytes before
   * the bad page written, or none if fault injection causes it.
   */
  copyToUser(uaddr: number, from: Uint8Array): void;

  /**
   * Whether `length` bytes are zero. Throws EFAULT where one before the first
   * that is not cannot be read. Out of reach of fault injection. (Linux:
   * check_zeroed_user.)
   */
  isZeroed(uaddr: number, length: number): boolean;

  /** Makes `length` bytes zero. Throws EFAULT. Out of reach of fault injection. (Linux: clear_user.) */
  clearUser(uaddr: number, length: number): void;

  /** As `copyFromUser`, but out of reach of fault injection (Linux: get_user). */
  getUser(to: Uint8Array, uaddr: number): void;

  /** As `copyToUser`, but out of reach of fault injection (Linux: put_user). */
  putUser(uaddr: number, from: Uint8Array): void;
}
