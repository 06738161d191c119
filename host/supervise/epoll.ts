// SPDX-License-Identifier: GPL-2.0-only

/**
 * Waiting for several descriptors at once.
 *
 * @module
 */

import type { HangUps } from "../files/emulated.ts";
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_EVENT,
  EPOLLIN,
  O_CLOEXEC,
} from "../sys/structs.ts";
import { type Block, must, type Sys } from "../sys/sys.ts";

/** Most events that are taken at a time. */
const BATCH = 256;

/** What is called when there is something. */
interface Source {
  readonly fd: number;
  /** What the host's kernel keeps of it. Never given again: there may be events of one that is forgotten. */
  readonly id: number;
  readonly happened: (events: number) => void;
  /** Whether all that happened before must be known first: calls of programs. */
  readonly last: boolean;
}

/** A set of descriptors, each with what is called for it. */
export class Epoll implements HangUps {
  readonly #sys: Sys;
  readonly #fd: number;
  readonly #events: Block;
  readonly #size: number;
  readonly #data: number;
  readonly #byId = new Map<number, Source>();
  readonly #byFd = new Map<number, Source>();
  #lastId = 0;
  readonly #wake: number;
  readonly #scratch: Block;
  /** Of the thread that sleeps. */
  readonly #slept: Block;

  /** An empty set. Throws a SysError if the process can open no more. */
  constructor(sys: Sys) {
    this.#sys = sys;
    const { size, data } = EPOLL_EVENT[sys.architecture];
    this.#size = size;
    this.#data = data;
    this.#fd = must(sys.call(sys.nr.epoll_create1, O_CLOEXEC), "epoll_create1");
    this.#events = sys.alloc(BATCH * size);
    this.#scratch = sys.alloc(16);
    this.#slept = sys.alloc(size);
    const flags = O_CLOEXEC;
    this.#wake = must(sys.call(sys.nr.eventfd2, 0, flags), "eventfd2");
    this.watchReadable(this.#wake, () => this.#drainWake());
  }

  /** Calls `hungUp` when the other side of a socket is gone. */
  watch(fd: number, hungUp: () => void): void {
    this.#add(fd, 0, hungUp, false);
  }

  /** Calls `happened`, with what epoll says, when there is something to read. */
  watchReadable(fd: number, happened: (events: number) => void): void {
    this.#add(fd, EPOLLIN, happened, false);
  }

  /** The same, after all others that have something at the same time. */
  watchLast(fd: number, happened: (events: number) => void): void {
    this.#add(fd, EPOLLIN, happened, true);
  }

  /** Forgets a descriptor, before it is closed. */
  unwatch(fd: number): void {
    const source = this.#byFd.get(fd);
    if (source === undefined) return;
    this.#byFd.delete(fd);
    this.#byId.delete(source.id);
    this.#control(EPOLL_CTL_DEL, fd, 0, 0);
  }

  /** Waits up to some milliseconds, and calls what is to be called; returns for how many. */
  dispatch(timeoutMs: number): number {
    const count = this.#wait(timeoutMs);
    let last: Source | undefined;
    for (let i = 0; i < count; i++) {
      const source = this.#sourceOf(i);
      if (source === undefined) continue;
      if (source.last) last = source;
      else source.happened(this.#eventsOf(i));
    }
    // A full batch may have left out what comes first.
    if (last !== undefined && count < BATCH && this.#byId.has(last.id)) {
      last.happened(EPOLLIN);
    }
    return count;
  }

  /** Waits in another thread until there is something. */
  async sleep(): Promise<void> {
    const { nr } = this.#sys;
    const { address } = this.#slept;
    await this.#sys.callLater(nr.epoll_pwait, this.#fd, address, 1, -1, 0, 8);
  }

  /** Ends {@link sleep}. */
  wake(): void {
    this.#scratch.view.setBigUint64(8, 1n, true);
    const { nr } = this.#sys;
    this.#sys.call(nr.write, this.#wake, this.#scratch.address + 8, 8);
  }

  /** Closes it. */
  close(): void {
    this.#sys.close(this.#wake);
    this.#sys.close(this.#fd);
  }

  #add(
    fd: number,
    events: number,
    happened: (events: number) => void,
    last: boolean,
  ): void {
    const id = ++this.#lastId;
    const source = { fd, id, happened, last };
    this.#byId.set(id, source);
    this.#byFd.set(fd, source);
    must(this.#control(EPOLL_CTL_ADD, fd, events, id), "epoll_ctl");
  }

  #control(operation: number, fd: number, events: number, id: number) {
    const { nr } = this.#sys;
    const { view, address } = this.#scratch;
    view.setUint32(0, events, true);
    view.setUint32(this.#data, id, true);
    return this.#sys.call(nr.epoll_ctl, this.#fd, operation, fd, address);
  }

  #wait(timeoutMs: number): number {
    const { nr } = this.#sys;
    const { address } = this.#events;
    const count = this.#sys
      .call(nr.epoll_pwait, this.#fd, address, BATCH, timeoutMs, 0, 8);
    return Math.max(count, 0);
  }

  #eventsOf(index: number): number {
    return this.#events.view.getUint32(index * this.#size, true);
  }

  /** Whose event it is; undefined if that was forgotten meanwhile. */
  #sourceOf(index: number): Source | undefined {
    const at = index * this.#size + this.#data;
    return this.#byId.get(this.#events.view.getUint32(at, true));
  }

  #drainWake(): void {
    const { nr } = this.#sys;
    this.#sys.call(nr.read, this.#wake, this.#scratch.address, 8);
  }
}
