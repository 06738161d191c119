// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a call that the host makes comes to: a thread is stopped when it has
 * made it, and its registers are read.
 *
 * @module
 */

import type { Architecture } from "../sys/machine_code.ts";
import { setLong } from "../memory/spaces/copier.ts";
import { type Block, must, type Sys } from "../sys/sys.ts";

const PTRACE_DETACH = 17;
const PTRACE_GETREGSET = 0x4204;
const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;
const PTRACE_EVENT_STOP = 128;
const NT_PRSTATUS = 1;

const P_PID = 1;
const WSTOPPED = 2;
const WEXITED = 4;
const WNOWAIT = 0x01000000;
const WALL = 0x40000000;
const CLD_TRAPPED = 4;
/** siginfo of a child: what is used of it. */
const SIGINFO = { size: 128, code: 8, status: 24 } as const;

/** Where the registers of a thread have the result of its call. */
const RESULT: Readonly<Record<Architecture, { size: number; at: number }>> = {
  x86_64: { size: 27 * 8, at: 10 * 8 },
  aarch64: { size: 34 * 8, at: 0 },
};

/** Bytes of memory for what the kernel tells. */
const ROOM = 4096;
/** Where in it a struct iovec is, and the registers. */
const IOVEC = SIGINFO.size;
const REGISTERS = IOVEC + 16;

/** A thread that waits for its answer, and that we may stop. */
export class TracedThread {
  readonly #sys: Sys;
  readonly #tid: number;

  private constructor(sys: Sys, tid: number) {
    this.#sys = sys;
    this.#tid = tid;
  }

  /** Undefined if the kernel does not let us stop it: somebody debugs it. */
  static of(sys: Sys, tid: number): TracedThread | undefined {
    const { ptrace } = sys.nr;
    if (sys.call(ptrace, PTRACE_SEIZE, tid) < 0) return undefined;
    sys.call(ptrace, PTRACE_INTERRUPT, tid);
    return new TracedThread(sys, tid);
  }

  /**
   * Has it go on, by `goOn`, and lets go of it when it has made its call and
   * `whileStopped` was called. Returns what the call came to; undefined if it
   * died meanwhile.
   */
  resultAfter(
    goOn: () => void,
    whileStopped?: () => void,
  ): number | undefined {
    goOn();
    const sys = this.#sys;
    const room = sys.map(ROOM);
    const signal = this.#waitForStop(room);
    const result = signal === undefined ? undefined : this.#result(room);
    if (signal !== undefined) whileStopped?.();
    sys.unmap(room.address, ROOM);
    const { ptrace } = sys.nr;
    if (signal !== undefined) {
      sys.call(ptrace, PTRACE_DETACH, this.#tid, 0, signal);
    }
    return result;
  }

  /** Waits until it stands still; returns the signal that it is to get then, 0 for none. Undefined if it died. */
  #waitForStop({ address, view }: Block): number | undefined {
    const sys = this.#sys;
    const { waitid } = sys.nr;
    // Its death is for others to see.
    const options = WSTOPPED | WEXITED | WNOWAIT | WALL;
    const waited = sys.call(waitid, P_PID, this.#tid, address, options, 0);
    if (waited < 0) return undefined;
    if (view.getInt32(SIGINFO.code, true) !== CLD_TRAPPED) {
      this.#reap(address);
      return undefined;
    }
    const status = view.getInt32(SIGINFO.status, true);
    return status >> 8 === PTRACE_EVENT_STOP ? 0 : status & 0xff;
  }

  /** Lets those who wait for a dead thread see it, unless that is ourselves. */
  #reap(address: number): void {
    const sys = this.#sys;
    const tid = this.#tid;
    const status = sys.readFile(-1, `/proc/${tid}/status`);
    const isOurs = typeof status === "string" &&
      status.includes(`\nTgid:\t${tid}\n`) &&
      status.includes(`\nPPid:\t${Deno.pid}\n`);
    if (isOurs) return;
    sys.call(sys.nr.waitid, P_PID, tid, address, WEXITED | WALL, 0);
  }

  #result({ address, view }: Block): number {
    const sys = this.#sys;
    const { size, at } = RESULT[sys.architecture];
    setLong(view, IOVEC, address + REGISTERS);
    setLong(view, IOVEC + 8, size);
    const { ptrace } = sys.nr;
    const iovec = address + IOVEC;
    const got = sys.call(
      ptrace,
      PTRACE_GETREGSET,
      this.#tid,
      NT_PRSTATUS,
      iovec,
    );
    must(got, "reading the registers of a thread");
    return Number(view.getBigInt64(REGISTERS + at, true));
  }
}
