// SPDX-License-Identifier: GPL-2.0-only

/**
 * The test's own process as the program: its memory is mapped by raw calls, so
 * that a test knows to the page what is there.
 *
 * @module
 */

import { expandRuns, makeFrameList } from "../../../impl/lib/frame_list.ts";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../../impl/uapi/mman.ts";
import { must, Sys } from "../../sys/sys.ts";
import type { HostMm } from "../host_mm.ts";
import { HostMachine } from "../machine.ts";

/** Read and write. */
export const RW: number = PROT_READ | PROT_WRITE;
/** A private mapping of nothing. */
export const PRIVATE: number = MAP_PRIVATE | MAP_ANONYMOUS;
/** A shared mapping of nothing. */
export const SHARED: number = MAP_SHARED | MAP_ANONYMOUS;

/** The calls of this process. */
export const sys: Sys = Sys.shared;

/** A machine, and this process on it. */
export class OwnMemory implements Disposable {
  readonly machine: HostMachine;
  readonly mm: HostMm;
  /** Addresses of the pages that are mapped: others of this process may take what is not. */
  readonly #mapped = new Set<number>();
  readonly #fds: number[] = [];

  /** As root has it, or as an ordinary user. */
  constructor({ mapFiles = true }: { mapFiles?: boolean } = {}) {
    this.machine = new HostMachine(sys, mapFiles);
    this.mm = this.machine.openMm(Deno.pid, () => {});
  }

  /** Maps pages; returns their address. */
  map(
    pages: number,
    flags: number,
    prot: number = RW,
    fd = -1,
    offset = 0,
  ): number {
    const length = pages * PAGE_SIZE;
    const { mmap } = sys.nr;
    const result = sys.call(mmap, 0, length, prot, flags, fd, offset);
    const address = must(result, "mmap");
    for (let at = 0; at < length; at += PAGE_SIZE) {
      this.#mapped.add(address + at);
    }
    return address;
  }

  /** Unmaps pages. */
  unmap(address: number, pages: number): void {
    sys.unmap(address, pages * PAGE_SIZE);
    for (let i = 0; i < pages; i++) {
      this.#mapped.delete(address + i * PAGE_SIZE);
    }
  }

  /** Makes a file of memory; returns its descriptor. */
  memfd(pages: number, flags = 0): number {
    const { memfd_create, ftruncate } = sys.nr;
    const fd = must(sys.call(memfd_create, sys.text("test"), flags), "memfd");
    must(sys.call(ftruncate, fd, pages * PAGE_SIZE), "ftruncate");
    this.#fds.push(fd);
    return fd;
  }

  /** Bytes of this process. */
  bytes(address: number, length: number = PAGE_SIZE): Uint8Array {
    return sys.blockAt(address, length).bytes;
  }

  /** Pins pages; returns their frames. */
  pin(address: number, pages: number, flags: number): number[] {
    const list = makeFrameList(pages);
    const n = this.mm.pinUserPages(address, pages, flags, list);
    const out = new Int32Array(n);
    expandRuns(list, out, 0);
    return [...out];
  }

  /** Unpins frames. */
  unpin(pfns: readonly number[]): void {
    this.machine.frames.unpin(Int32Array.from(pfns), 0, pfns.length);
  }

  /** Reads a frame's first bytes. */
  read(pfn: number, length = 1, offset = 0): number[] {
    const to = new Uint8Array(length);
    this.machine.frames.read(pfn, offset, to);
    return [...to];
  }

  /** Writes a frame's first bytes. */
  write(pfn: number, ...bytes: number[]): void {
    this.machine.frames.write(pfn, 0, Uint8Array.from(bytes));
  }

  [Symbol.dispose](): void {
    this.machine.close();
    for (const address of this.#mapped) {
      let end = address;
      while (this.#mapped.delete(end)) end += PAGE_SIZE;
      sys.unmap(address, end - address);
    }
    for (const fd of this.#fds) sys.close(fd);
  }
}
