// SPDX-License-Identifier: GPL-2.0-only

/**
 * userfaultfd: who stores to pages that are protected waits, and we are told.
 *
 * The descriptor is made by a thread of the program, and is of its memory,
 * whoever uses it. Only stores of the program itself are seen, not those of the
 * kernel for it: so an ordinary user may have it (UFFD_USER_MODE_ONLY).
 *
 * @module
 */

import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";
import { getLong, setLong } from "../../memory/spaces/copier.ts";
import { O_CLOEXEC, O_NONBLOCK } from "../../sys/structs.ts";
import type { Block, Sys } from "../../sys/sys.ts";

const UFFD_USER_MODE_ONLY = 1;
const UFFD_API = 0xaa;
const UFFDIO_API = 0xc018aa3f;
const UFFDIO_REGISTER = 0xc020aa00;
const UFFDIO_WAKE = 0x8010aa02;
const UFFDIO_WRITEPROTECT = 0xc018aa06;
const REGISTER_MODE_WP = 2;
const WRITEPROTECT_MODE_WP = 1;
const WRITEPROTECT_MODE_DONTWAKE = 2;
/** Write protection of shared memory, the thread, and the exact address. */
const FEATURES = 1 | 1 << 8 | 1 << 11 | 1 << 12;
const EVENT_PAGEFAULT = 0x12;
/** struct uffd_msg: what is used of it. */
const MESSAGE = { size: 32, address: 16, thread: 24 } as const;
/** Bytes of the longest store: one that begins so shortly before a page's end may go on in the next. */
const LONGEST = 64;

/** A store that waits. */
export interface Fault {
  /** Its address. */
  readonly address: number;
  /** The thread. */
  readonly tid: number;
}

/** See the module. */
export class Userfaultfd {
  /** The flags that the call has. */
  static readonly FLAGS: number = O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY;
  /** A descriptor of ours. */
  readonly fd: number;
  readonly #sys: Sys;
  readonly #scratch: Block;

  /** Takes a descriptor over, and uses `scratch` for what it asks: {@link Userfaultfd.room}. */
  constructor(sys: Sys, fd: number, scratch: Block) {
    this.#sys = sys;
    this.fd = fd;
    this.#scratch = scratch;
  }

  /** Room for what is asked. */
  static room(sys: Sys): Block {
    return sys.alloc(MESSAGE.size);
  }

  /** Begins to watch some pages; false where this Linux cannot. */
  watch(start: number, length: number): boolean {
    return this.#ask(UFFDIO_API, UFFD_API, FEATURES, 0) === 0 &&
      this.#ask(UFFDIO_REGISTER, start, length, REGISTER_MODE_WP) === 0 &&
      this.#ask(UFFDIO_WRITEPROTECT, start, length, WRITEPROTECT_MODE_WP) === 0;
  }

  /** The next store that waits, if there is one. */
  next(): Fault | undefined {
    const { view } = this.#scratch;
    for (;;) {
      const n = this.#sys.read(this.fd, this.#scratch, MESSAGE.size);
      if (n !== MESSAGE.size) return undefined;
      if (view.getUint8(0) !== EVENT_PAGEFAULT) continue;
      return {
        address: getLong(view, MESSAGE.address),
        tid: view.getUint32(MESSAGE.thread, true),
      };
    }
  }

  /** Lets stores to the page of an address through, for who comes by: who waits goes on waiting. */
  open(address: number): void {
    this.#protect(address, WRITEPROTECT_MODE_DONTWAKE);
  }

  /** Lets all stores to the page of an address through, from now on. */
  giveUp(address: number): void {
    this.#protect(address, 0);
  }

  /** Protects it again, and has those who wait for it try again. */
  close(address: number): void {
    this.#protect(address, WRITEPROTECT_MODE_WP);
    const page = address - address % PAGE_SIZE;
    this.#ask(UFFDIO_WAKE, page, PAGE_SIZE, 0);
  }

  /** Lets go of it: all stores go through. */
  release(): void {
    this.#sys.close(this.fd);
  }

  #protect(address: number, mode: number): void {
    const page = address - address % PAGE_SIZE;
    this.#ask(UFFDIO_WRITEPROTECT, page, PAGE_SIZE, mode);
    if (address + LONGEST <= page + PAGE_SIZE) return;
    // Where the next page is none of these, that fails.
    this.#ask(UFFDIO_WRITEPROTECT, page + PAGE_SIZE, PAGE_SIZE, mode);
  }

  #ask(request: number, first: number, second: number, third: number): number {
    const { view, address } = this.#scratch;
    setLong(view, 0, first);
    setLong(view, 8, second);
    setLong(view, 16, third);
    setLong(view, 24, 0);
    return this.#sys.ioctl(this.fd, request, address);
  }
}
