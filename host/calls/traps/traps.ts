// SPDX-License-Identifier: GPL-2.0-only

/**
 * Stores of programs to memory of devices that have to see each of them.
 *
 * The pages are protected. A thread that stores there waits; it is stopped, has
 * the one instruction carried out, and goes on when the device has seen what
 * came of it. Other threads that store meanwhile wait for their own turn, or
 * get through while the page is open: what they stored is found by looking.
 *
 * @module
 */

import type { Readiness } from "../../files/eventfds.ts";
import type { Block, Sys } from "../../sys/sys.ts";
import { TracedThread } from "../traced_thread.ts";
import { Userfaultfd } from "./userfaultfd.ts";

/** Is told of a store, by the byte of the mapping at which it begins. */
export type Touched = (offset: number) => void;

/** One mapping whose stores are trapped. */
export interface Trap {
  /** No more. */
  release(): void;
}

/** What is mapped where. */
export interface ProcessRange {
  /** The process. */
  readonly pid: number;
  /** The first address. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
}

interface Trapped {
  readonly faults: Userfaultfd;
  readonly pid: number;
  readonly start: number;
  readonly touched: Touched;
}

/** All of them. */
export class Traps {
  readonly #sys: Sys;
  readonly #readiness: Readiness;
  readonly #scratch: Block;
  readonly #room: Block;

  /** None yet. `readiness` tells when a store waits. */
  constructor(sys: Sys, readiness: Readiness) {
    this.#sys = sys;
    this.#readiness = readiness;
    this.#scratch = Userfaultfd.room(sys);
    this.#room = TracedThread.room(sys);
  }

  /**
   * Traps stores to a mapping of a process from now on, by a userfaultfd of
   * that, which is taken over; undefined where this Linux cannot.
   */
  set(
    fd: number,
    { pid, start, length }: ProcessRange,
    touched: Touched,
  ): Trap | undefined {
    const faults = new Userfaultfd(this.#sys, fd, this.#scratch);
    if (!faults.watch(start, length)) {
      faults.release();
      return undefined;
    }
    const trapped = { faults, pid, start, touched };
    this.#readiness.watchReadable(fd, () => this.#serve(trapped));
    return {
      release: () => {
        this.#readiness.unwatch(fd);
        faults.release();
      },
    };
  }

  #serve({ faults, pid, start, touched }: Trapped): void {
    const fault = faults.next();
    if (fault === undefined) return;
    const { address, tid } = fault;
    // Threads in a namespace of their own have another number here.
    const thread = this.#sys.haveSameMemory(tid, pid)
      ? TracedThread.of(this.#sys, tid)
      : undefined;
    if (thread === undefined) {
      // Or somebody debugs it: what it stores is found by looking.
      return faults.giveUp(address);
    }
    thread.step(this.#room, {
      before: () => faults.open(address),
      behind: () => faults.close(address),
      done: () => touched(address - start),
    });
  }
}
