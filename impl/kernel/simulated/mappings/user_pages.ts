// SPDX-License-Identifier: GPL-2.0-only

/**
 * A process's memory in use: finding the frame behind an address, pinning it,
 * copying to and from it.
 *
 * @module
 */

import type { CopyStep } from "../../fault_steps.ts";
import type { PagesDifferences } from "../../../uapi/revision/pages.ts";
import type { Resolved } from "../../../uapi/revision/differences.ts";
import { asErrno, EFAULT, ENOMEM, Errno } from "../../../uapi/errno.ts";
import { PAGE_SIZE, PROT_READ, PROT_WRITE } from "../../../uapi/mman.ts";
import type { Pfn } from "../../../lib/brands.ts";
import { partOf } from "../../../lib/bytes.ts";
import type { FrameList } from "../../../lib/frame_list.ts";
import type { Frames } from "../pages/frames.ts";
import {
  FOLL_FORCE,
  FOLL_REMOTE,
  FOLL_WRITE,
  isUserRange,
  type Mm,
} from "../../interfaces/mm.ts";
import {
  BusError,
  SegmentationFault,
} from "../../interfaces/process_memory.ts";
import { PrivatePages } from "../pages/private_pages.ts";
import { type Vma, VmaList } from "./vma.ts";

const NO_MEMORY = EFAULT.because("there is no memory at an address");
const PROTECTED = EFAULT.because("memory at an address is protected from that");
const DEVICE_MEMORY = EFAULT.because("memory at an address is a device's");
const USED_UP = EFAULT.because("the machine's memory is used up");

/** The pages of one process. */
export class UserPages implements Mm {
  /** Pages charged by RLIMIT_MEMLOCK accounting per process. */
  lockedVm = 0;
  /** Pages pinned for long. */
  pinnedVm = 0;
  /** What is mapped. */
  readonly vmas: VmaList = new VmaList();
  /** The private pages. */
  protected readonly privatePages: PrivatePages;
  /** The machine's memory. */
  protected readonly frames: Frames;
  /** Asked before each copy of the kernel: true makes it fail (Linux: should_fail_usercopy). */
  protected readonly copyStep: CopyStep;
  /** What differs by version. */
  protected readonly differences: Resolved<PagesDifferences>;
  #alive = true;

  /** Without mappings. */
  constructor(
    frames: Frames,
    differences: Resolved<PagesDifferences>,
    copyStep: CopyStep = () => {},
  ) {
    this.frames = frames;
    this.differences = differences;
    this.copyStep = copyStep;
    this.privatePages = new PrivatePages(frames);
  }

  /** False after {@link release}. */
  get alive(): boolean {
    return this.#alive;
  }

  /** Drops all memory; pinned frames survive by their pins. Idempotent. (Linux: exit_mmap.) */
  release(): void {
    this.#alive = false;
    for (const vma of this.vmas.remove(0, Infinity)) vma.close();
    this.privatePages.zap(0, Infinity);
  }

  /** Linux: pin_user_pages_fast, pin_user_pages_remote. See `Mm`. */
  pinUserPages(
    uaddr: number,
    npages: number,
    gupFlags: number,
    list: FrameList,
  ): number {
    const first = Math.floor(uaddr / PAGE_SIZE);
    let done = 0;
    try {
      while (done < npages) {
        const page = first + done;
        const vma = this.vmas.lookup(page * PAGE_SIZE);
        if (vma === undefined) throw NO_MEMORY;
        if (vma.device !== undefined) throw DEVICE_MEMORY;
        const allowed = gupAllowed(vma, gupFlags);
        if (!allowed && !fastAllowed(vma, gupFlags)) throw PROTECTED;
        const count = Math.min(npages - done, vma.end / PAGE_SIZE - page);
        const pinned = this.#pinPresent(vma, page, count, list);
        done += pinned;
        if (pinned === count) continue;
        if (!allowed) throw PROTECTED;
        this.#makePinnable(vma, page + pinned);
        if (this.#pinPresent(vma, page + pinned, 1, list) === 0) {
          // The page is there, so its pin count is what overflowed.
          throw ENOMEM.because("a page is pinned as often as it can be");
        }
        done++;
      }
    } catch (error) {
      if (done === 0 || !(error instanceof Errno)) throw error;
    }
    return done;
  }

  /** Linux: get_user_pages_fast followed by put_page. See `Mm`. */
  userPage(uaddr: number): Pfn {
    const vma = this.vmas.lookup(uaddr);
    if (vma === undefined) throw NO_MEMORY;
    if (vma.device !== undefined) throw DEVICE_MEMORY;
    const page = Math.floor(uaddr / PAGE_SIZE);
    if ((vma.prot & PROT_READ) !== 0) {
      return this.#frameToRead(vma, page) as Pfn;
    }
    // What is present can be looked up without the mapping's permission.
    const pfn = vma.shared
      ? vma.object!.present(vma.objectIndex(page))
      : this.privatePages.present(page);
    if (pfn === 0 || vma.prot === 0) throw PROTECTED;
    return pfn as Pfn;
  }

  /** Linux: follow_pfnmap_start. See `Mm`. */
  devicePage(uaddr: number, write: boolean): number | undefined {
    const vma = this.vmas.lookup(uaddr);
    const access = write ? PROT_WRITE : PROT_READ;
    if (vma === undefined || (vma.prot & access) === 0) return undefined;
    const index = vma.objectIndex(Math.floor(uaddr / PAGE_SIZE));
    return vma.device?.physical?.(index * PAGE_SIZE);
  }

  /** Linux: copy_from_user. See `Mm`. */
  copyFromUser(to: Uint8Array, uaddr: number): void {
    this.copyStep("user.copyFrom");
    this.getUser(to, uaddr);
  }

  /** Linux: copy_to_user. See `Mm`. */
  copyToUser(uaddr: number, from: Uint8Array): void {
    this.copyStep("user.copyTo");
    this.putUser(uaddr, from);
  }

  /** Linux: get_user. See `Mm`. */
  getUser(to: Uint8Array, uaddr: number): void {
    if (!isUserRange(uaddr, to.length)) throw NO_MEMORY;
    try {
      for (let done = 0; done < to.length;) {
        const at = (uaddr + done) % PAGE_SIZE;
        const n = Math.min(PAGE_SIZE - at, to.length - done);
        const pfn = this.#frameAt(uaddr + done, PROT_READ);
        const part = partOf(to, done, done + n);
        this.frames.read(pfn, at, part);
        done += n;
      }
    } catch (error) {
      throw ENOMEM.is(error) ? USED_UP : error;
    }
  }

  /** Linux: put_user. See `Mm`. */
  putUser(uaddr: number, from: Uint8Array): void {
    if (!isUserRange(uaddr, from.length)) throw NO_MEMORY;
    try {
      for (let done = 0; done < from.length;) {
        const at = (uaddr + done) % PAGE_SIZE;
        const n = Math.min(PAGE_SIZE - at, from.length - done);
        const pfn = this.#frameAt(uaddr + done, PROT_WRITE);
        const part = partOf(from, done, done + n);
        this.frames.write(pfn, at, part);
        done += n;
      }
    } catch (error) {
      throw ENOMEM.is(error) ? USED_UP : error;
    }
  }

  /** Linux: check_zeroed_user. See `Mm`. */
  isZeroed(uaddr: number, length: number): boolean {
    return !this.#somePage(
      uaddr,
      length,
      PROT_READ,
      (pfn, from, end) => this.frames.firstNonZero(pfn, from, end) < end,
    );
  }

  /** Linux: clear_user. See `Mm`. */
  clearUser(uaddr: number, length: number): void {
    this.#somePage(uaddr, length, PROT_WRITE, (pfn, from, end) => {
      this.frames.clear(pfn, from, end);
      return false;
    });
  }

  /**
   * Fills `to` as the process's own loads from `address` on do. Throws
   * {@link SegmentationFault} or {@link BusError}.
   */
  peek(address: number, to: Uint8Array): void {
    try {
      this.getUser(to, address);
    } catch (error) {
      throw this.#signal(error, "read", address, to.length);
    }
  }

  /**
   * Writes `from` as the process's own stores from `address` on do. Throws
   * {@link SegmentationFault} or {@link BusError}.
   */
  poke(address: number, from: Uint8Array): void {
    try {
      this.putUser(address, from);
    } catch (error) {
      throw this.#signal(error, "write", address, from.length);
    }
    this.#tellDevice(address, from.length);
  }

  /** Faults in the pages [first, end) for `access`, PROT_READ or PROT_WRITE. Throws EFAULT, ENOMEM. */
  protected populate(first: number, end: number, access: number): void {
    for (let page = first; page < end; page++) {
      this.#frameAt(page * PAGE_SIZE, access);
    }
  }

  #pinPresent(
    vma: Vma,
    page: number,
    count: number,
    list: FrameList,
  ): number {
    if (vma.shared) {
      const index = vma.objectIndex(page);
      return vma.object!.pin(index, count, list);
    }
    return this.privatePages.table.pin(this.frames, page, count, list);
  }

  #makePinnable(vma: Vma, page: number): void {
    if (vma.shared) vma.object!.frameAt(vma.objectIndex(page));
    else this.privatePages.makeExclusive(vma, page);
  }

  /** The frame behind an address for an access of the CPU. Throws EFAULT, ENOMEM. */
  #frameAt(address: number, access: number): number {
    const vma = this.vmas.lookup(address);
    if (vma === undefined) throw NO_MEMORY;
    if (!cpuAllowed(vma, access)) throw PROTECTED;
    const page = Math.floor(address / PAGE_SIZE);
    if (access !== PROT_WRITE) return this.#frameToRead(vma, page);
    if (vma.shared) return vma.object!.frameAt(vma.objectIndex(page));
    return this.privatePages.makeExclusive(vma, page);
  }

  #frameToRead(vma: Vma, page: number): number {
    if (vma.shared) return vma.object!.frameAt(vma.objectIndex(page));
    return this.privatePages.frameToRead(vma, page);
  }

  /**
   * Calls `visit` with the frame of each page of `length` bytes from `address`
   * on and the bytes of it that are meant, until it returns true; returns
   * whether it did. Throws EFAULT.
   */
  #somePage(
    address: number,
    length: number,
    access: number,
    visit: (pfn: number, from: number, end: number) => boolean,
  ): boolean {
    if (!isUserRange(address, length)) throw NO_MEMORY;
    for (let done = 0; done < length;) {
      const at = (address + done) % PAGE_SIZE;
      const end = Math.min(PAGE_SIZE, at + length - done);
      if (visit(this.#userFrame(address + done, access), at, end)) return true;
      done += end - at;
    }
    return false;
  }

  /** As {@link #frameAt} for the kernel, to which a lack of memory is a bad address. Throws EFAULT. */
  #userFrame(address: number, access: number): number {
    try {
      return this.#frameAt(address, access);
    } catch (error) {
      throw ENOMEM.is(error) ? USED_UP : error;
    }
  }

  /** Memory of a device was stored to, if it is that. */
  #tellDevice(address: number, length: number): void {
    const vma = this.vmas.lookup(address);
    if (vma?.device?.stored === undefined) return;
    const page = Math.floor(address / PAGE_SIZE);
    const offset = vma.objectIndex(page) * PAGE_SIZE + address % PAGE_SIZE;
    vma.device.stored(offset, length);
  }

  /** What the CPU raises where the kernel would return an errno. */
  #signal(
    error: unknown,
    verb: string,
    address: number,
    length: number,
  ): unknown {
    const errno = asErrno(error);
    const access = verb === "read" ? PROT_READ : PROT_WRITE;
    const message = `Cannot ${verb} ${length} bytes of memory at ${
      formatAddress(address)
    }`;
    const bad = this.#firstForbidden(access, address, length);
    if (bad !== undefined) {
      const where = formatAddress(bad);
      return new SegmentationFault(`${message}: ${where} is not ${verb}able`);
    }
    const why = errno === USED_UP
      ? "no memory is left"
      : "no page is behind the mapping";
    return new BusError(`${message}: ${why}`);
  }

  /** The first address whose mapping is missing or forbids `access`. */
  #firstForbidden(
    access: number,
    address: number,
    length: number,
  ): number | undefined {
    if (!isUserRange(address, length)) return address;
    for (let cur = address; cur < address + length;) {
      const vma = this.vmas.lookup(cur);
      if (vma === undefined || !cpuAllowed(vma, access)) return cur;
      cur = vma.end;
    }
    return undefined;
  }
}

/** What the paging hardware of x86 allows: whatever can be accessed at all can be read. */
function cpuAllowed(vma: Vma, access: number): boolean {
  return access === PROT_WRITE ? (vma.prot & PROT_WRITE) !== 0 : vma.prot !== 0;
}

/** Linux: check_vma_flags of mm/gup.c. */
function gupAllowed(vma: Vma, gupFlags: number): boolean {
  const force = (gupFlags & FOLL_FORCE) !== 0;
  if ((gupFlags & FOLL_WRITE) === 0) {
    return force || (vma.prot & PROT_READ) !== 0;
  }
  if ((vma.prot & PROT_WRITE) !== 0) return true;
  return force && !vma.huge && !vma.shared;
}

/**
 * Whether pages that are present may be pinned for reading although the
 * mapping forbids it: gup_fast looks at page table entries alone, which have no
 * permission to read of their own. It takes those of private pages, and others
 * if they can be written.
 */
function fastAllowed(vma: Vma, gupFlags: number): boolean {
  if ((gupFlags & (FOLL_WRITE | FOLL_REMOTE)) !== 0) return false;
  return vma.shared ? (vma.prot & PROT_WRITE) !== 0 : vma.prot !== 0;
}

function formatAddress(address: number): string {
  return Number.isSafeInteger(address)
    ? `0x${address.toString(16)}`
    : String(address);
}
