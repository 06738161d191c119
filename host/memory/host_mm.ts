// SPDX-License-Identifier: GPL-2.0-only

/**
 * The memory of a real process: what the kernel copies, and what it pins.
 *
 * Pages of shared mappings are those of the file, private ones are those of
 * the address space at an address. What a program does with its mappings is
 * told by the calls of `leaving.ts`.
 *
 * @module
 */

import type { CopyStep } from "../../impl/kernel/fault_steps.ts";
import {
  FOLL_LONGTERM,
  FOLL_WRITE,
  isUserRange,
  type Mm,
} from "../../impl/kernel/interfaces/mm.ts";
import type { Pfn } from "../../impl/lib/brands.ts";
import type { FrameList } from "../../impl/lib/frame_list.ts";
import { EFAULT, ENOMEM, Errno } from "../../impl/uapi/errno.ts";
import { PAGE_SIZE, PROT_READ, PROT_WRITE } from "../../impl/uapi/mman.ts";
import type { HostFrames } from "./frames/frames.ts";
import type { HostObject } from "./shared/host_object.ts";
import type { Mapping } from "./spaces/mappings.ts";
import { mayPin, mayPinTouched } from "./permissions.ts";
import { ReadAhead } from "./read_ahead.ts";
import { PrivatePages } from "./spaces/private_pages.ts";
import type { ProcessSpace } from "./spaces/process_space.ts";

const NO_MEMORY = EFAULT.because("there is no memory at an address");
const PROTECTED = EFAULT.because("memory at an address is protected from that");
const DEVICE_MEMORY = EFAULT.because("memory at an address is a device's");
const WRITTEN_BACK = EFAULT.because(
  "a file on a disk cannot be pinned for writing for long",
);
const TOO_OFTEN = ENOMEM.because("a page is pinned as often as it can be");
const NOT_THERE = EFAULT.because("no page is behind a mapping");

/** Bytes that are looked at or written at once. */
const CHUNK = 65536;

/** What an address space needs of its machine. */
export interface MmParts {
  /** The process's memory. */
  readonly space: ProcessSpace;
  /** Where pages get numbers. */
  readonly frames: HostFrames;
  /** The object of a shared mapping, which knows the mapping then. */
  readonly objectOf: (space: ProcessSpace, mapping: Mapping) => HostObject;
  /** Whether the pages of a file are memory alone. */
  readonly isMemory: (file: string) => boolean;
  /** Called before each copy of the kernel; it may throw. */
  readonly step: CopyStep;
}

/** See the module. */
export class HostMm implements Mm {
  alive = true;
  lockedVm = 0;
  pinnedVm = 0;
  /** The process's memory. */
  readonly space: ProcessSpace;
  /** Its private pages. */
  readonly pages: PrivatePages;
  readonly #parts: MmParts;
  readonly #ahead = new ReadAhead();

  /** Of a process that runs. */
  constructor(parts: MmParts) {
    this.#parts = parts;
    this.space = parts.space;
    this.pages = new PrivatePages(parts.space);
  }

  /** A thread that has this memory begins a call. */
  beginCall(tid: number): void {
    this.space.tid = tid;
    this.#ahead.forget();
  }

  pinUserPages(
    uaddr: number,
    npages: number,
    gupFlags: number,
    list: FrameList,
  ): number {
    let done = 0;
    try {
      while (done < npages) {
        const address = uaddr + done * PAGE_SIZE;
        const mapping = this.#mapping(address);
        const left = (mapping.end - address) / PAGE_SIZE;
        const wanted = Math.min(npages - done, left);
        const n = this.#allowed(mapping, address, wanted, gupFlags);
        const pinned = mapping.shared
          ? this.#pinShared(mapping, address, n, gupFlags, list)
          : this.#pinPrivate(mapping, address, n, list);
        if (pinned === 0) throw TOO_OFTEN;
        done += pinned;
      }
    } catch (error) {
      if (done === 0 || !(error instanceof Errno)) throw error;
    }
    return done;
  }

  userPage(uaddr: number): Pfn {
    const mapping = this.#mapping(uaddr);
    this.#allowed(mapping, uaddr, 1, 0);
    const { frames } = this.#parts;
    const page = Math.floor(uaddr / PAGE_SIZE);
    const huge = mapping.pageSize > PAGE_SIZE;
    if (mapping.shared) {
      const object = this.#objectOf(mapping);
      const index = indexOf(mapping, page * PAGE_SIZE);
      if (object.available(index, 1) === 0) throw NOT_THERE;
      return frames.peek(object.pages, index, huge) as Pfn;
    }
    if (this.space.peek(uaddr, new Uint8Array(1)) === 0) throw NOT_THERE;
    return frames.peek(this.pages, page, huge) as Pfn;
  }

  devicePage(uaddr: number, write: boolean): number | undefined {
    const mapping = this.space.mapping(uaddr);
    const access = write ? PROT_WRITE : PROT_READ;
    if (!mapping?.shared || (mapping.prot & access) === 0) return undefined;
    const { device } = this.#parts.objectOf(this.space, mapping);
    return device?.physical?.(indexOf(mapping, uaddr) * PAGE_SIZE);
  }

  copyFromUser(to: Uint8Array, uaddr: number): void {
    this.#parts.step("user.copyFrom");
    this.getUser(to, uaddr);
  }

  copyToUser(uaddr: number, from: Uint8Array): void {
    this.#parts.step("user.copyTo");
    this.putUser(uaddr, from);
  }

  getUser(to: Uint8Array, uaddr: number): void {
    if (!isUserRange(uaddr, to.length)) throw NO_MEMORY;
    if (this.#ahead.read(this.space, uaddr, to)) return;
    if (this.#read(uaddr, to) < to.length) throw this.#why(uaddr, to.length);
  }

  putUser(uaddr: number, from: Uint8Array): void {
    if (!isUserRange(uaddr, from.length)) throw NO_MEMORY;
    this.#ahead.forget();
    if (this.space.write(uaddr, from) === from.length) return;
    throw this.#why(uaddr, from.length);
  }

  isZeroed(uaddr: number, length: number): boolean {
    if (!isUserRange(uaddr, length)) throw NO_MEMORY;
    const bytes = new Uint8Array(Math.min(length, CHUNK));
    for (let done = 0; done < length;) {
      const part = bytes.subarray(0, Math.min(CHUNK, length - done));
      const n = this.#read(uaddr + done, part);
      if (part.subarray(0, n).some((byte) => byte !== 0)) return false;
      if (n < part.length) throw this.#why(uaddr + done + n, 1);
      done += n;
    }
    return true;
  }

  clearUser(uaddr: number, length: number): void {
    const zeros = new Uint8Array(Math.min(length, CHUNK));
    if (!isUserRange(uaddr, length)) throw NO_MEMORY;
    for (let done = 0; done < length; done += CHUNK) {
      const n = Math.min(CHUNK, length - done);
      this.putUser(uaddr + done, zeros.subarray(0, n));
    }
  }

  /** Reads what a load of the processor could: what can be accessed at all. */
  #read(uaddr: number, to: Uint8Array): number {
    let done = this.space.read(uaddr, to);
    while (done < to.length) {
      // The kernel asks for the right to read, which the hardware does not have.
      const at = uaddr + done;
      const mapping = this.space.mapping(at);
      if (mapping === undefined || mapping.prot === 0) break;
      const end = Math.min(to.length, mapping.end - uaddr);
      const n = this.space.peek(at, to.subarray(done, end));
      if (n === 0) break;
      done += n;
    }
    return done;
  }

  #mapping(address: number): Mapping {
    if (!isUserRange(address, 1)) throw NO_MEMORY;
    const mapping = this.space.mapping(address);
    if (mapping === undefined) throw NO_MEMORY;
    return mapping;
  }

  #objectOf(mapping: Mapping): HostObject {
    const object = this.#parts.objectOf(this.space, mapping);
    if (object.own) throw DEVICE_MEMORY;
    return object;
  }

  /** How many of `npages` pages of a mapping may be pinned. Throws EFAULT for none. */
  #allowed(
    mapping: Mapping,
    address: number,
    npages: number,
    gupFlags: number,
  ): number {
    if (mayPin(mapping, gupFlags)) return npages;
    if (!mayPinTouched(mapping, gupFlags)) throw PROTECTED;
    const page = address - address % PAGE_SIZE;
    const touched = mapping.shared
      ? this.space.countPresent(page, npages)
      : this.space.countOwn(page, npages);
    if (touched === 0) throw PROTECTED;
    return touched;
  }

  #pinShared(
    mapping: Mapping,
    address: number,
    npages: number,
    gupFlags: number,
    list: FrameList,
  ): number {
    const { isMemory } = this.#parts;
    const forLong = FOLL_WRITE | FOLL_LONGTERM;
    if ((gupFlags & forLong) === forLong && !isMemory(mapping.file)) {
      throw WRITTEN_BACK;
    }
    const object = this.#objectOf(mapping);
    return object.pin(indexOf(mapping, address), npages, list);
  }

  #pinPrivate(
    mapping: Mapping,
    address: number,
    npages: number,
    list: FrameList,
  ): number {
    const { frames } = this.#parts;
    const page = address / PAGE_SIZE;
    const writable = (mapping.prot & PROT_WRITE) !== 0;
    let n = npages;
    if (!this.pages.hasAll(page, npages)) {
      n = this.space.makeOwn(address, npages, writable);
      if (n === 0) throw NOT_THERE;
    }
    const huge = mapping.pageSize > PAGE_SIZE;
    return frames.pin(this.pages, page, n, huge, list);
  }

  /** The errno for memory that could not be copied. */
  #why(uaddr: number, length: number): Errno {
    for (let at = uaddr; at < uaddr + length;) {
      const mapping = this.space.mapping(at);
      if (mapping === undefined) return NO_MEMORY;
      at = mapping.end;
    }
    return PROTECTED;
  }
}

/** Which page of its file an address of a mapping is. */
function indexOf(mapping: Mapping, address: number): number {
  return (mapping.offset + address - mapping.start) / PAGE_SIZE;
}
