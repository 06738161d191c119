// SPDX-License-Identifier: GPL-2.0-only

/**
 * Copies between arrays and what a system call reaches: a process's memory,
 * the bytes of a file.
 *
 * @module
 */

import type { Block, Sys } from "../../sys/sys.ts";

/** Bytes that one call moves at most. */
const BOUNCE_BYTES = 2 ** 18;
/** Below this many bytes a loop is faster than making the view that `set` needs. */
const SMALL_COPY = 32;
/** Bytes of a struct iovec. */
const IOVEC_SIZE = 16;
/** Of process_vm_writev: an address that nobody can read. */
const NOWHERE = 8;

/** Makes the calls. All results are the bytes moved: fewer than asked where there are no more. */
export class Copier {
  /** The calls. */
  readonly sys: Sys;
  readonly #bounce: Block;
  readonly #local: Block;
  readonly #remote: Block;

  /** Takes some memory for as long as this process lives. */
  constructor(sys: Sys) {
    this.sys = sys;
    this.#bounce = sys.alloc(BOUNCE_BYTES);
    this.#local = sys.alloc(IOVEC_SIZE);
    this.#remote = sys.alloc(IOVEC_SIZE);
  }

  /** Fills `to` from the memory of a thread, as far as it may be read. */
  readProcess(tid: number, address: number, to: Uint8Array): number {
    return this.#fill(to, (n, done) => {
      const { process_vm_readv } = this.sys.nr;
      return this.#vm(process_vm_readv, tid, address + done, n);
    });
  }

  /** Writes `from` to the memory of a thread, as far as it may be written. */
  writeProcess(tid: number, address: number, from: Uint8Array): number {
    return this.#drain(from, (n, done) => {
      const { process_vm_writev } = this.sys.nr;
      return this.#vm(process_vm_writev, tid, address + done, n);
    });
  }

  /**
   * Has the pages of a thread faulted in as if it wrote them: the kernel takes
   * them before it finds that there is nothing to write. False if it could not
   * even try.
   */
  touchProcess(tid: number, address: number, bytes: number): boolean {
    const { process_vm_writev } = this.sys.nr;
    setLong(this.#local.view, 0, NOWHERE);
    setLong(this.#local.view, 8, bytes);
    setLong(this.#remote.view, 0, address);
    setLong(this.#remote.view, 8, bytes);
    const local = this.#local.address;
    const remote = this.#remote.address;
    const { sys } = this;
    const result = sys.call(process_vm_writev, tid, local, 1, remote, 1, 0);
    return result === -EFAULT;
  }

  /** Fills `to` from byte `offset` of a file on. */
  readFile(fd: number, offset: number, to: Uint8Array): number {
    return this.#fill(to, (n, done) => {
      const { nr } = this.sys;
      const { address } = this.#bounce;
      return this.sys.call(nr.pread64, fd, address, n, offset + done);
    });
  }

  /** Writes `from` at byte `offset` of a file. */
  writeFile(fd: number, offset: number, from: Uint8Array): number {
    return this.#drain(from, (n, done) => {
      const { nr } = this.sys;
      const { address } = this.#bounce;
      return this.sys.call(nr.pwrite64, fd, address, n, offset + done);
    });
  }

  #vm(nr: number, tid: number, address: number, bytes: number): number {
    setLong(this.#local.view, 0, this.#bounce.address);
    setLong(this.#local.view, 8, bytes);
    setLong(this.#remote.view, 0, address);
    setLong(this.#remote.view, 8, bytes);
    const local = this.#local.address;
    const remote = this.#remote.address;
    return this.sys.call(nr, tid, local, 1, remote, 1, 0);
  }

  /** Has `move` put up to so many bytes into the bounce buffer, and takes them from there. */
  #fill(
    to: Uint8Array,
    move: (bytes: number, done: number) => number,
  ): number {
    let done = 0;
    while (done < to.length) {
      const n = Math.min(BOUNCE_BYTES, to.length - done);
      const moved = move(n, done);
      if (moved > 0) copy(this.#bounce.bytes, 0, to, done, moved);
      if (moved > 0) done += moved;
      if (moved < n) break;
    }
    return done;
  }

  #drain(
    from: Uint8Array,
    move: (bytes: number, done: number) => number,
  ): number {
    let done = 0;
    while (done < from.length) {
      const n = Math.min(BOUNCE_BYTES, from.length - done);
      copy(from, done, this.#bounce.bytes, 0, n);
      const moved = move(n, done);
      if (moved > 0) done += moved;
      if (moved < n) break;
    }
    return done;
  }
}

const EFAULT = 14;

/** Copies `n` bytes of `from`, from `start` on, to `to` from `at` on. */
export function copy(
  from: Uint8Array,
  start: number,
  to: Uint8Array,
  at: number,
  n: number,
): void {
  if (n > SMALL_COPY) to.set(from.subarray(start, start + n), at);
  else for (let i = 0; i < n; i++) to[at + i] = from[start + i]!;
}

/** Stores a number below 2^53 as 64 bits. */
export function setLong(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

/** Reads 64 bits as a number; above 2^53 it is not exact. */
export function getLong(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}
