// SPDX-License-Identifier: GPL-2.0-only

/**
 * The address space of a process, by descriptors of it: they stay those of the
 * same memory when the process goes on with another program.
 *
 * @module
 */

import { EFAULT } from "../../../impl/uapi/errno.ts";
import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";
import { O_CLOEXEC } from "../../sys/structs.ts";
import type { Sys } from "../../sys/sys.ts";
import type { Copier } from "./copier.ts";
import type { Mapping, Mappings } from "./mappings.ts";

const O_RDWR = 2;

/** Bits of an entry of /proc/PID/pagemap, of its upper half. */
const PM_PRESENT = 2 ** 31;
const PM_SWAP = 2 ** 30;
const PM_FILE = 2 ** 29;
const PM_MMAP_EXCLUSIVE = 2 ** 24;
/** Pages that are looked up at once. */
const PAGEMAP_PAGES = 512;

/** What {@link ProcessSpace} is opened with. */
export interface SpaceParts {
  /** Makes the calls. */
  readonly copier: Copier;
  /** A thread that has this memory. */
  readonly tid: number;
  /** Tells what is mapped, of a descriptor of /proc/TID/maps. */
  readonly mappings: (maps: number) => Mappings;
}

/** See the module. */
export class ProcessSpace {
  /** A thread that has this memory now; 0 if none is known. */
  tid: number;
  readonly #copier: Copier;
  readonly #mem: number;
  readonly #maps: number;
  #pagemap = -1;
  readonly #mappings: Mappings;
  readonly #entries = new Uint8Array(PAGEMAP_PAGES * 8);
  readonly #view = new DataView(this.#entries.buffer);
  readonly #byte = new Uint8Array(1);

  /** Opens a thread's memory. Throws EFAULT where it is not to be had: the thread is gone, or not dumpable. */
  constructor({ copier, tid, mappings }: SpaceParts) {
    this.tid = tid;
    this.#copier = copier;
    const { sys } = copier;
    this.#mem = sys.openat(-1, `/proc/${tid}/mem`, O_RDWR | O_CLOEXEC);
    this.#maps = sys.openat(-1, `/proc/${tid}/maps`, O_CLOEXEC);
    if (this.#mem < 0 || this.#maps < 0) {
      this.close();
      throw EFAULT.because(
        "the kernel does not let us at the memory of the process",
      );
    }
    this.#mappings = mappings(this.#maps);
  }

  get #sys(): Sys {
    return this.#copier.sys;
  }

  /** Lets go of it. */
  close(): void {
    for (const fd of [this.#mem, this.#maps, this.#pagemap]) {
      if (fd >= 0) this.#sys.close(fd);
    }
    this.tid = 0;
  }

  /** The mapping of an address, or with `orNext` the first one behind it. */
  mapping(address: number, orNext = false): Mapping | undefined {
    return this.#mappings.find(address, orNext);
  }

  /** All mappings that overlap the addresses [start, end), in order. */
  *mappingsIn(start: number, end: number): Generator<Mapping> {
    for (let at = start; at < end;) {
      const mapping = this.mapping(at, true);
      if (mapping === undefined || mapping.start >= end) return;
      yield mapping;
      at = mapping.end;
    }
  }

  /** Reads what the process may read; returns how many bytes that were. */
  read(address: number, to: Uint8Array): number {
    const { tid } = this;
    return tid === 0 ? 0 : this.#copier.readProcess(tid, address, to);
  }

  /** Writes what the process may write; returns how many bytes that were. */
  write(address: number, from: Uint8Array): number {
    const { tid } = this;
    return tid === 0 ? 0 : this.#copier.writeProcess(tid, address, from);
  }

  /** Reads what is mapped, whatever its protection; returns how many bytes that were: 0 if the memory is gone. */
  peek(address: number, to: Uint8Array): number {
    return this.#copier.readFile(this.#mem, address, to);
  }

  /** Writes what is mapped, whatever its protection, private pages of it only there; returns how many bytes that were. */
  poke(address: number, from: Uint8Array): number {
    return this.#copier.writeFile(this.#mem, address, from);
  }

  /**
   * Makes private pages the process's own, as a write would, and changes none;
   * `writable` says whether the process may write them. Returns how many of
   * them, from the first on, could be had.
   */
  makeOwn(address: number, npages: number, writable: boolean): number {
    const bytes = npages * PAGE_SIZE;
    const { tid } = this;
    if (
      writable && tid !== 0 && this.#copier.touchProcess(tid, address, bytes)
    ) {
      return this.countPresent(address, npages);
    }
    return this.#rewrite(address, npages);
  }

  /** How many pages, from the first on, the process has touched. */
  countPresent(address: number, npages: number): number {
    const there = PM_PRESENT | PM_SWAP;
    return this.#countLeading(address, npages, (bits) => (bits & there) !== 0);
  }

  /** How many pages, from the first on, are the process's own and nobody else's. */
  countOwn(address: number, npages: number): number {
    return this.#countLeading(address, npages, isOwn);
  }

  /** Writes each page that is not the process's own the byte that it has. Returns how many pages could be written. */
  #rewrite(address: number, npages: number): number {
    const byte = this.#byte;
    for (let i = 0; i < npages; i++) {
      const at = address + i * PAGE_SIZE;
      if (this.#hasPagemap() && this.countOwn(at, 1) === 1) continue;
      if (this.peek(at, byte) === 0 || this.poke(at, byte) === 0) return i;
    }
    return npages;
  }

  #countLeading(
    address: number,
    npages: number,
    isMeant: (bits: number) => boolean,
  ): number {
    if (!this.#hasPagemap()) return npages;
    for (let done = 0; done < npages;) {
      const n = Math.min(PAGEMAP_PAGES, npages - done);
      const found = this.#lookUp(address + done * PAGE_SIZE, n);
      for (let i = 0; i < found; i++) {
        const bits = this.#view.getUint32(i * 8 + 4, true);
        if (!isMeant(bits)) return done + i;
      }
      if (found < n) return done + found;
      done += n;
    }
    return npages;
  }

  /** Opens the pagemap; false where there is none, so that what could be touched must be trusted. */
  #hasPagemap(): boolean {
    if (this.#pagemap < 0 && this.tid !== 0) {
      const path = `/proc/${this.tid}/pagemap`;
      this.#pagemap = this.#sys.openat(-1, path, O_CLOEXEC);
    }
    return this.#pagemap >= 0;
  }

  /** Reads entries of the pagemap; returns how many. */
  #lookUp(address: number, npages: number): number {
    const entries = this.#entries.subarray(0, npages * 8);
    const at = address / PAGE_SIZE * 8;
    return this.#copier.readFile(this.#pagemap, at, entries) / 8;
  }
}

/** Whether the bits of a page say that it is no file's and nobody else's. */
function isOwn(bits: number): boolean {
  const own = PM_PRESENT | PM_MMAP_EXCLUSIVE;
  return ((bits & (own | PM_FILE)) >>> 0) === own >>> 0;
}
