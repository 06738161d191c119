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
  EPOLLET,
  EPOLLIN,
  O_CLOEXEC,
} from "../sys/structs.ts";
import { type Block, must, type Sys } from "../sys/sys.ts";

/** Most events that are taken at a time. */
const BATCH = 256;
/** Bytes of a struct pollfd. */
const POLLFD = 8;
/** Where in it what happened is. */
const REVENTS = 6;

/** What is called when there is something. */
interface Source {
  readonly fd: number;
  /** What the host's kernel keeps of it. Never given again: there may be events of one that is forgotten. */
  readonly id: number;
  /** Whether an event of it comes once, and not as long as there is something. */
  readonly comesOnce: boolean;
  readonly happened: () => void;
}

/** A listener: there is a call to be taken. */
interface CallSource {
  readonly fd: number;
  readonly called: () => void;
}

/**
 * A set of descriptors, each with what is called for it.
 *
 * Listeners are not in the epoll, but beside it in what is polled: only who
 * waits for a listener itself is woken on the processor of the caller
 * (SYNC_WAKE_UP).
 */
export class Epoll implements HangUps {
  readonly #sys: Sys;
  readonly #fd: number;
  readonly #events: Block;
  readonly #size: number;
  readonly #data: number;
  readonly #byId = new Map<number, Source>();
  readonly #byFd = new Map<number, Source>();
  #lastId = 0;
  /** Events that come once and were met when nobody was to be called. */
  #early: number[] = [];
  readonly #wake: number;
  readonly #scratch: Block;
  /** The epoll, and behind it the listeners. */
  #polled: Block;
  #listeners: readonly CallSource[] = [];
  /** Which listener comes first: each in turn. */
  #turn = 0;
  readonly #timeout: Block;

  /** An empty set. Throws a SysError if the process can open no more. */
  constructor(sys: Sys) {
    this.#sys = sys;
    const { size, data } = EPOLL_EVENT[sys.architecture];
    this.#size = size;
    this.#data = data;
    this.#fd = must(sys.call(sys.nr.epoll_create1, O_CLOEXEC), "epoll_create1");
    this.#events = sys.alloc(BATCH * size);
    this.#scratch = sys.alloc(16);
    this.#timeout = sys.alloc(16);
    this.#polled = this.#pollOf([]);
    this.#wake = must(sys.call(sys.nr.eventfd2, 0, O_CLOEXEC), "eventfd2");
    this.watchReadable(this.#wake, () => this.#drainWake());
  }

  /** Calls `hungUp` when the other side of a socket is gone. */
  watch(fd: number, hungUp: () => void): void {
    this.#add(fd, 0, hungUp);
  }

  /** Calls `happened` when there is something to read. */
  watchReadable(fd: number, happened: () => void): void {
    this.#add(fd, EPOLLIN, happened);
  }

  /** Calls `happened` whenever there is more to read than now. */
  watchSignals(fd: number, happened: () => void): void {
    this.#passOver(this.#add(fd, EPOLLIN | EPOLLET, happened));
  }

  /** Calls `called` when a listener has a call, after all else that happened before that. */
  listen(fd: number, called: () => void): void {
    this.#listenTo([...this.#listeners, { fd, called }]);
  }

  /** Forgets a listener, before it is closed. */
  unlisten(fd: number): void {
    this.#listenTo(this.#listeners.filter((each) => each.fd !== fd));
  }

  /** Forgets a descriptor, before it is closed. */
  unwatch(fd: number): void {
    const source = this.#byFd.get(fd);
    if (source === undefined) return;
    this.#byFd.delete(fd);
    this.#byId.delete(source.id);
    this.#control(EPOLL_CTL_DEL, fd, 0, 0);
  }

  /** Waits up to some milliseconds, and calls what is to be called; true if there was something. */
  dispatch(timeoutMs: number): boolean {
    const { nr } = this.#sys;
    const { address, view } = this.#polled;
    const count = 1 + this.#listeners.length;
    // The kernel stores what is left of the time.
    const isEarly = this.#early.length > 0;
    const ms = isEarly ? 0 : timeoutMs;
    this.#timeout.view.setUint32(8, ms * 1_000_000, true);
    const timeout = this.#timeout.address;
    const found = this.#sys
      .call(nr.ppoll, address, count, timeout, 0, 8);
    if (found <= 0 && !isEarly) return false;
    const called = found > 0 ? this.#nextListener() : undefined;
    if (isEarly || view.getInt16(REVENTS, true) !== 0) {
      // With more than a batch the call comes later.
      if (this.#dispatchEvents() >= BATCH) return true;
    }
    if (called !== undefined && this.#listeners.includes(called)) {
      called.called();
    }
    return true;
  }

  /** Waits in another thread until there is something. */
  async sleep(): Promise<void> {
    if (this.#early.length > 0) return;
    const { nr } = this.#sys;
    const { address } = this.#polled;
    const count = 1 + this.#listeners.length;
    await this.#sys.callLater(nr.ppoll, address, count, 0, 0, 8);
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

  /** The listener with a call whose turn it is. */
  #nextListener(): CallSource | undefined {
    const { view } = this.#polled;
    const count = this.#listeners.length;
    for (let i = 0; i < count; i++) {
      const index = (this.#turn + i) % count;
      const at = POLLFD * (1 + index) + REVENTS;
      if (view.getInt16(at, true) === 0) continue;
      this.#turn = index + 1;
      return this.#listeners[index];
    }
    return undefined;
  }

  /** Calls what is to be called of the epoll; returns for how many. */
  #dispatchEvents(): number {
    const ids = [...this.#early.splice(0), ...this.#take()];
    for (const id of ids) this.#byId.get(id)?.happened();
    return ids.length;
  }

  /** The events that there are, by their ids, up to a batch. */
  #take(): number[] {
    const { nr } = this.#sys;
    const { address, view } = this.#events;
    const count = this.#sys
      .call(nr.epoll_pwait, this.#fd, address, BATCH, 0, 0, 8);
    return Array.from(
      { length: Math.max(count, 0) },
      (_, i) => view.getUint32(i * this.#size + this.#data, true),
    );
  }

  /** Takes the event that something new has at once; others that come once are kept. */
  #passOver(id: number): void {
    const batches = Math.ceil(this.#byId.size / BATCH);
    for (let i = 0; i < batches; i++) {
      const ids = this.#take();
      this.#early.push(
        ...ids.filter((other) =>
          other !== id && this.#byId.get(other)?.comesOnce
        ),
      );
      if (ids.includes(id) || ids.length < BATCH) return;
    }
  }

  #listenTo(listeners: readonly CallSource[]): void {
    this.#listeners = listeners;
    this.#polled = this.#pollOf(listeners.map(({ fd }) => fd));
  }

  /** An array of struct pollfd. One that a thread may be waiting with is not changed. */
  #pollOf(listeners: readonly number[]): Block {
    const fds = [this.#fd, ...listeners];
    const block = this.#sys.alloc(POLLFD * fds.length);
    fds.forEach((fd, i) => {
      block.view.setInt32(POLLFD * i, fd, true);
      block.view.setInt16(POLLFD * i + 4, EPOLLIN, true);
    });
    return block;
  }

  /** Returns the id. */
  #add(fd: number, events: number, happened: () => void): number {
    const id = ++this.#lastId;
    const comesOnce = (events & EPOLLET) !== 0;
    const source = { fd, id, comesOnce, happened };
    this.#byId.set(id, source);
    this.#byFd.set(fd, source);
    must(this.#control(EPOLL_CTL_ADD, fd, events, id), "epoll_ctl");
    return id;
  }

  #control(operation: number, fd: number, events: number, id: number): number {
    const { nr } = this.#sys;
    const { view, address } = this.#scratch;
    view.setUint32(0, events, true);
    view.setUint32(this.#data, id, true);
    return this.#sys.call(nr.epoll_ctl, this.#fd, operation, fd, address);
  }

  #drainWake(): void {
    const { nr } = this.#sys;
    this.#sys.call(nr.read, this.#wake, this.#scratch.address, 8);
  }
}
