// SPDX-License-Identifier: GPL-2.0-only

/**
 * A program that runs under supervision, with all its descendants.
 *
 * @module
 */

import { HostCredentials } from "../files/credentials.ts";
import { AT_FDCWD, SIGKILL } from "../sys/structs.ts";
import { type Arena, type Block, must, type Sys } from "../sys/sys.ts";
import { findProgram, ProgramError } from "./find_program.ts";
import { Listener } from "./listener.ts";
import { type Scripts, scriptsOf } from "./launch.ts";

/** A capability. */
const CAP_SYS_ADMIN = 21n;
const EACCES = 13;
const WNOHANG = 1;
/** Nanoseconds between two looks at a program that starts. */
const LOOK_NS = 50_000n;
/** Bytes for the scripts, beside what the program is passed. */
const SCRIPTS = 16384;
/** Bytes for each text that is passed, beside its own. */
const PER_TEXT = 32;

/** What is to be run, and how. */
export interface ProgramOptions {
  /** The program: a path, or a name to be looked for in PATH. */
  readonly program: string;
  /** Its arguments, without its name. */
  readonly args?: readonly string[];
  /** Its environment; default this process's. */
  readonly env?: Readonly<Record<string, string>>;
  /** Its working folder; default this process's. */
  readonly cwd?: string;
  /** What its descriptors 0 to 2 are, as descriptors of this process; default the same. */
  readonly stdio?: readonly [number, number, number];
}

/** How a program ended: one of the two is there. */
export interface ProgramEnd {
  /** The status it exited with. */
  readonly code: number | undefined;
  /** The signal that killed it. */
  readonly signal: number | undefined;
}

/** A program that was started. */
export class Program {
  /** Where its calls come in. */
  readonly listener: Listener;
  /** The process that ends when all of the program's have, as a descriptor. */
  readonly guard: number;
  /** The number of its first process. */
  readonly pid: number;
  /** How it ended, once nothing is left of it. Rejects if it could not run, or the supervisor failed. */
  readonly ended: Promise<ProgramEnd>;
  readonly #sys: Sys;
  readonly #name: string;
  readonly #arena: Arena;
  readonly #scripts: Scripts;
  readonly #settle: {
    resolve: (end: ProgramEnd) => void;
    reject: (reason: unknown) => void;
  };
  /** What people should be told of it. */
  readonly complaints: string[] = [];
  #over = false;

  /** Starts it. Throws {@link ProgramError}. */
  constructor(sys: Sys, filter: Uint8Array, options: ProgramOptions) {
    const { program, args = [], cwd, stdio = [0, 1, 2] } = options;
    const env = options.env ?? Deno.env.toObject();
    const path = findProgram(sys, program, { cwd, path: env["PATH"] });
    const texts = Object.entries(env).map(([name, value]) =>
      `${name}=${value}`
    );
    const all = [path, program, ...args, ...texts, cwd ?? ""];
    const size = all.reduce((sum, text) => sum + 3 * text.length + PER_TEXT, 0);
    this.#sys = sys;
    this.#name = program;
    this.#arena = sys.arena(SCRIPTS + filter.length + size);
    const start = {
      path,
      args: [program, ...args],
      env: texts,
      cwd,
      stdio,
      filter,
      mayGainRights: hasSysAdmin(sys),
    };
    const needs = { supervisor: Deno.pid, pidMax: pidMaxOf(sys) };
    this.#scripts = scriptsOf(this.#arena, start, needs);
    sys.run(this.#scripts.first.address);
    const guard = numberIn(this.#scripts.guard);
    this.guard = must(sys.pidfdOpen(guard), "pidfd_open");
    this.listener = new Listener(sys, this.#awaitListener(guard));
    this.pid = numberIn(this.#scripts.process);
    const { promise, ...settle } = Promise.withResolvers<ProgramEnd>();
    this.ended = promise;
    this.#settle = settle;
  }

  /** Sends its first process a signal, unless it has ended. */
  kill(signal: number): void {
    if (!this.#over) this.#sys.call(this.#sys.nr.kill, this.pid, signal);
  }

  /** Notes what people should be told. */
  complain(what: string): void {
    this.complaints.push(what);
  }

  /**
   * For the supervisor: its guard has ended. False if somebody killed that:
   * then there may be something left of the program.
   */
  guardEnded(): boolean {
    const { guard, status } = this.#scripts;
    const { wait4 } = this.#sys.nr;
    const own = this.#arena.alloc(8);
    this.#over = true;
    this.#sys.call(wait4, numberIn(guard), own.address, 0, 0);
    const word = own.view.getInt32(0, true);
    // The program dies with its guard, which did not come to say so.
    if (word !== 0) status.view.setInt32(0, word, true);
    return word === 0;
  }

  /** For the supervisor: nothing is left of it. */
  end(): void {
    const { status, exec } = this.#scripts;
    this.#sys.close(this.guard);
    this.listener.close();
    const errno = exec.result;
    const word = status.view.getInt32(0, true);
    this.#arena.release();
    if (errno !== undefined) {
      this.#settle.reject(new ProgramError(this.#name, -errno));
    } else this.#settle.resolve(endOf(word));
  }

  /** For the supervisor: it failed. All that runs is killed. */
  fail(reason: unknown): void {
    this.kill(SIGKILL);
    this.guardEnded();
    this.#sys.close(this.guard);
    this.listener.close();
    this.#arena.release();
    this.#settle.reject(reason);
  }

  /** Waits until the filter is installed and the descriptors are the program's own; returns the listener's number. */
  #awaitListener(guard: number): number {
    const sys = this.#sys;
    const { filter, own } = this.#scripts;
    const time = this.#arena.alloc(16);
    time.view.setBigInt64(8, LOOK_NS, true);
    while (own.result === undefined) {
      if (sys.call(sys.nr.wait4, guard, 0, WNOHANG, 0) !== 0) break;
      sys.call(sys.nr.nanosleep, time.address, 0);
    }
    const { result } = filter;
    if (result !== undefined && result >= 0) return result;
    sys.close(this.guard);
    // The guard may still run in it.
    sys.call(sys.nr.wait4, guard, 0, 0, 0);
    this.#arena.release();
    throw new ProgramError(this.#name, -(result ?? -EACCES));
  }
}

/** The number in a block. */
function numberIn(block: Block): number {
  return Number(block.view.getBigInt64(0, true));
}

/** What wait tells of an end. */
function endOf(status: number): ProgramEnd {
  const signal = status & 0x7f;
  return signal === 0
    ? { code: (status >> 8) & 0xff, signal: undefined }
    : { code: undefined, signal };
}

/** One more than the highest number of a process. */
function pidMaxOf(sys: Sys): number {
  const text = sys.readFile(AT_FDCWD, "/proc/sys/kernel/pid_max");
  return typeof text === "number" ? 2 ** 22 : Number(text);
}

/** Whether this process may filter without giving up to gain rights. */
function hasSysAdmin(sys: Sys): boolean {
  const own = new HostCredentials(sys).capabilitiesOf(Deno.pid);
  return (own >> CAP_SYS_ADMIN & 1n) === 1n;
}
