// SPDX-License-Identifier: GPL-2.0-only

/**
 * Eventfds of programs, by descriptors of ours.
 *
 * They are the program's: it may have filled them, and may take what is in them
 * at any moment, so nothing here waits for one.
 *
 * @module
 */

import { POLLIN, POLLOUT } from "../../impl/uapi/mman.ts";
import type { Block, Sys } from "../sys/sys.ts";

/** What /proc calls one. */
const NAME = "anon_inode:[eventfd]";
/** preadv2: fail rather than wait. */
const RWF_NOWAIT = 8;
/** Where in the scratch memory a counter, a struct iovec of it, a struct pollfd and a time of 0 are. */
const AT = {
  count: 0,
  iovec: 16,
  pollfd: 32,
  events: 36,
  revents: 38,
  time: 48,
  size: 64,
} as const;

/** Who tells when a descriptor can be read. */
export interface Readiness {
  /** From now on `happened` is called whenever there is something to read. */
  watchReadable(fd: number, happened: () => void): void;
  /** From now on `happened` is called whenever there is something more to read. */
  watchSignals(fd: number, happened: () => void): void;
  /** No longer. */
  unwatch(fd: number): void;
}

/** See the module. */
export class Eventfds {
  readonly #readiness: Readiness;
  readonly #sys: Sys;
  readonly #scratch: Block;

  /** Takes a little memory for as long as this process lives. */
  constructor(sys: Sys, readiness: Readiness) {
    this.#sys = sys;
    this.#readiness = readiness;
    const { view, address } = this.#scratch = sys.alloc(AT.size);
    view.setBigUint64(AT.iovec, BigInt(address), true);
    view.setBigUint64(AT.iovec + 8, 8n, true);
  }

  /** Whether a descriptor is one. */
  has(fd: number): boolean {
    return this.#sys.readlinkat(-1, `/proc/self/fd/${fd}`) === NAME;
  }

  /** Whether it counts, `POLLIN`, and whether there is room in it, `POLLOUT`. */
  poll(fd: number): number {
    const { view, address } = this.#scratch;
    view.setInt32(AT.pollfd, fd, true);
    view.setInt16(AT.events, POLLIN | POLLOUT, true);
    const { ppoll } = this.#sys.nr;
    this.#sys.call(ppoll, address + AT.pollfd, 1, address + AT.time, 0, 8);
    return view.getInt16(AT.revents, true);
  }

  /** Calls `wake` each time that it is signalled from now on, until what is returned is called. What it counted before is nothing new. */
  onSignal(fd: number, wake: () => void): () => void {
    this.#readiness.watchSignals(fd, wake);
    return () => this.#readiness.unwatch(fd);
  }

  /** Adds 1, unless it is full. */
  signal(fd: number): void {
    // The program's descriptor may be one that waits.
    if ((this.poll(fd) & POLLOUT) === 0) return;
    const { view, address } = this.#scratch;
    view.setUint32(AT.count, 1, true);
    view.setUint32(AT.count + 4, 0, true);
    this.#sys.call(this.#sys.nr.write, fd, address + AT.count, 8);
  }

  /** Makes it 0, or takes 1 of one that counts so; returns what was taken. */
  take(fd: number): bigint {
    const { view, address } = this.#scratch;
    const { preadv2 } = this.#sys.nr;
    const iovec = address + AT.iovec;
    const n = this.#sys.call(preadv2, fd, iovec, 1, -1, -1, RWF_NOWAIT);
    return n === 8 ? view.getBigUint64(AT.count, true) : 0n;
  }
}
