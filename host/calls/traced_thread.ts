// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a call that the host makes comes to: a thread is stopped when it has
 * made it, and its registers are read. There it can also be had to make other
 * calls in its place.
 *
 * @module
 */

import type { Architecture } from "../sys/machine_code.ts";
import { setLong } from "../memory/spaces/copier.ts";
import { ESRCH } from "../../impl/uapi/errno.ts";
import { type Block, must, type Sys } from "../sys/sys.ts";

const PTRACE_SINGLESTEP = 9;
const PTRACE_DETACH = 17;
const PTRACE_SYSCALL = 24;
const PTRACE_SETOPTIONS = 0x4200;
const PTRACE_GETREGSET = 0x4204;
const PTRACE_SETREGSET = 0x4205;
const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;
const PTRACE_GETSIGMASK = 0x420a;
const PTRACE_SETSIGMASK = 0x420b;
/** A stop for a call is told from one for a signal. */
const PTRACE_O_TRACESYSGOOD = 1;
/** What such a stop has instead of a signal. */
const SYSCALL_STOP = 5 | 0x80;
const PTRACE_EVENT_STOP = 128;
/** What a stop behind a single instruction has instead of a signal. */
const SIGTRAP = 5;
const NT_PRSTATUS = 1;

const P_PID = 1;
const WSTOPPED = 2;
const WEXITED = 4;
const WNOWAIT = 0x01000000;
const WALL = 0x40000000;
const CLD_TRAPPED = 4;
/** siginfo of a child: what is used of it. */
const SIGINFO = { size: 128, code: 8, status: 24 } as const;

/** Where the registers of a thread have what a call is, by index. */
interface Layout {
  /** How many there are. */
  readonly count: number;
  readonly result: number;
  readonly number: number;
  readonly args: readonly number[];
  /** The address of the next instruction. */
  readonly next: number;
  /** Bytes of the instruction that makes a call. */
  readonly instruction: number;
}

const LAYOUTS: Readonly<Record<Architecture, Layout>> = {
  x86_64: {
    count: 27,
    result: 10,
    number: 10,
    args: [14, 13, 12, 7, 9, 8],
    next: 16,
    instruction: 2,
  },
  aarch64: {
    count: 34,
    result: 0,
    number: 8,
    args: [0, 1, 2, 3, 4, 5],
    next: 32,
    instruction: 4,
  },
};

/** Bytes of memory for what the kernel tells. */
const ROOM = 4096;
/** Where in it a struct iovec is, a mask of signals, and the registers. */
const IOVEC = SIGINFO.size;
const SIGNALS = IOVEC + 16;
const REGISTERS = SIGNALS + 16;

/** Makes a call in the name of a stopped thread; its result. */
export type MakeCall = (nr: number, args: readonly number[]) => number;

/** What happens around a single instruction of a thread. */
export interface Step {
  /** It is about to be carried out. */
  readonly before: () => void;
  /** It was tried. */
  readonly behind: () => void;
  /** It was carried out; the thread stands still behind it. */
  readonly done: () => void;
}

/** The thread is dead. */
class Died extends Error {}

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

  /** Room for {@link step}. */
  static room(sys: Sys): Block {
    return sys.alloc(ROOM);
  }

  /**
   * Has it carry out the instruction at which it stands, and lets go of it
   * then. Not so if a signal comes first, or of the instruction: the thread
   * gets that, and may come back to it.
   */
  step(room: Block, { before, behind, done }: Step): void {
    const sys = this.#sys;
    const { ptrace } = sys.nr;
    let signal = this.#waitForStop(room);
    if (signal === 0) {
      before();
      sys.call(ptrace, PTRACE_SINGLESTEP, this.#tid, 0, 0);
      signal = this.#waitForStop(room);
      behind();
      if (signal === SIGTRAP) {
        done();
        signal = 0;
      }
    }
    if (signal === undefined) return;
    sys.call(ptrace, PTRACE_DETACH, this.#tid, 0, signal);
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

  /**
   * Has it go on, by `goOn`, with a call that comes to nothing, and then make
   * those that `body` makes: what that returns is the result that the program
   * sees. These calls must not be such that the supervisor is asked about.
   * Returns it; undefined if the thread died meanwhile.
   */
  resultOfOthers(
    goOn: () => void,
    body: (make: MakeCall) => number,
  ): number | undefined {
    goOn();
    const room = this.#sys.map(ROOM);
    try {
      return this.#resultOfOthers(room, body);
    } catch (error) {
      if (error instanceof Died) return undefined;
      throw error;
    } finally {
      this.#sys.unmap(room.address, ROOM);
    }
  }

  #resultOfOthers(
    room: Block,
    body: (make: MakeCall) => number,
  ): number | undefined {
    let signal = this.#waitForStop(room);
    if (signal === undefined) return undefined;
    // Signals are for the program, behind its call.
    const { address, view } = room;
    this.#ptrace(PTRACE_SETOPTIONS, 0, PTRACE_O_TRACESYSGOOD);
    this.#ptrace(PTRACE_GETSIGMASK, 8, address + SIGNALS);
    const blocked = view.getBigUint64(SIGNALS, true);
    view.setBigUint64(SIGNALS, ~0n, true);
    this.#ptrace(PTRACE_SETSIGMASK, 8, address + SIGNALS);
    this.#registers(PTRACE_GETREGSET, room);
    const { count, result } = LAYOUTS[this.#sys.architecture];
    const before = room.bytes.slice(REGISTERS, REGISTERS + 8 * count);

    const value = body((nr, args) => {
      room.bytes.set(before, REGISTERS);
      this.#prepare(room, nr, args);
      for (const _ of ["before", "behind"]) {
        signal = this.#goToCall(room) || signal;
      }
      return this.#result(room);
    });

    room.bytes.set(before, REGISTERS);
    view.setBigInt64(REGISTERS + 8 * result, BigInt(value), true);
    this.#registers(PTRACE_SETREGSET, room);
    view.setBigUint64(SIGNALS, blocked, true);
    this.#ptrace(PTRACE_SETSIGMASK, 8, address + SIGNALS);
    this.#ptrace(PTRACE_DETACH, 0, 0);
    const { nr } = this.#sys;
    if (signal) this.#sys.call(nr.tkill, this.#tid, signal);
    return value;
  }

  /** Writes registers with which it makes a call next: it is behind the instruction of one. */
  #prepare(room: Block, nr: number, args: readonly number[]): void {
    const { view } = room;
    const layout = LAYOUTS[this.#sys.architecture];
    const at = (index: number) => REGISTERS + 8 * index;
    const next = view.getBigUint64(at(layout.next), true);
    const { instruction } = layout;
    view.setBigUint64(at(layout.next), next - BigInt(instruction), true);
    for (const [i, index] of layout.args.entries()) {
      view.setBigInt64(at(index), BigInt(args[i] ?? 0), true);
    }
    view.setBigInt64(at(layout.number), BigInt(nr), true);
    this.#registers(PTRACE_SETREGSET, room);
  }

  /** Lets it go on to the next beginning or end of a call; returns a signal that cannot be blocked and came in between, or 0. */
  #goToCall(room: Block): number {
    let came = 0;
    for (;;) {
      this.#ptrace(PTRACE_SYSCALL, 0, 0);
      const signal = this.#waitForStop(room);
      if (signal === undefined) throw new Died();
      if (signal === SYSCALL_STOP) return came;
      came ||= signal;
    }
  }

  #result(room: Block): number {
    this.#registers(PTRACE_GETREGSET, room);
    const { result } = LAYOUTS[this.#sys.architecture];
    return Number(room.view.getBigInt64(REGISTERS + 8 * result, true));
  }

  /** Reads its registers, or writes them. */
  #registers(request: number, { address, view }: Block): void {
    const { count } = LAYOUTS[this.#sys.architecture];
    setLong(view, IOVEC, address + REGISTERS);
    setLong(view, IOVEC + 8, 8 * count);
    this.#ptrace(request, NT_PRSTATUS, address + IOVEC);
  }

  /** Throws {@link Died} if there is no thread any more that stands still. */
  #ptrace(request: number, address: number, data: number): void {
    const { ptrace } = this.#sys.nr;
    const result = this.#sys.call(ptrace, request, this.#tid, address, data);
    if (result === -ESRCH.code) throw new Died();
    must(result, "ptrace");
  }
}
