// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which process of the model a thread of the host belongs to.
 *
 * @module
 */

import type { FaultInjection } from "../../impl/kernel/fault_injection.ts";
import { ESRCH } from "../../impl/uapi/errno.ts";
import { type Beliefs, Identity } from "../calls/credentials/identity.ts";
import { HostProcess } from "../calls/process.ts";
import type { Host } from "../calls/call.ts";
import type { Caller } from "../files/caller.ts";
import { HostDescriptors } from "../files/descriptors.ts";
import { Eventfds } from "../files/eventfds.ts";
import { ThreadFolder } from "../files/thread_folder.ts";
import { AT_FDCWD, SIGKILL } from "../sys/structs.ts";
import type { Epoll } from "./epoll.ts";
import type { Listener } from "./listener.ts";

/** A flag of a process in /proc: it is ending. */
const PF_EXITING = 0x4;

/** Milliseconds that an end is waited for at a time. */
const POLL_MS = 100;

/** A thread that made a call. */
export class Thread implements Caller {
  /** Its number. */
  readonly tid: number;
  /** Its process. */
  readonly process: HostProcess;
  /** Its folder in /proc. */
  readonly folder: ThreadFolder;
  /** Where its calls come in. */
  readonly listener: Listener;

  /** Of a process that is known. */
  constructor(
    tid: number,
    process: HostProcess,
    folder: ThreadFolder,
    listener: Listener,
  ) {
    this.tid = tid;
    this.process = process;
    this.folder = folder;
    this.listener = listener;
  }

  /** Whether it is the first of its process. */
  get isFirst(): boolean {
    return this.tid === this.process.pid;
  }

  /** Its process, as a descriptor. */
  get pidfd(): number {
    return this.process.pidfd;
  }

  /** Gives it a descriptor. */
  addDescriptor(fd: number, closeOnExec: boolean): number {
    return this.listener.addDescriptor(fd, closeOnExec);
  }
}

/** What processes need. */
export interface ProcessesParts {
  /** What all who answer calls share. */
  readonly host: Host;
  /** Where the ends of processes are seen. */
  readonly epoll: Epoll;
  /** What the model believes of them. */
  readonly beliefs: Beliefs;
  /** Which step of the kernel fails, for all of them together; undefined to count each thread alone. */
  readonly faults: FaultInjection | undefined;
}

/** All that made a call and have not ended. */
export class Processes {
  readonly #parts: ProcessesParts;
  readonly #eventfds: Eventfds;
  readonly #threads = new Map<number, Thread>();
  readonly #processes = new Map<number, HostProcess>();

  /** None yet. */
  constructor(parts: ProcessesParts) {
    this.#parts = parts;
    this.#eventfds = new Eventfds(parts.host.sys, parts.epoll);
  }

  /** Those that are known, oldest first. */
  values(): Iterable<HostProcess> {
    return this.#processes.values();
  }

  /** The process of a thread that is known. */
  processOf(tid: number): HostProcess | undefined {
    return this.#threads.get(tid)?.process ?? this.#processes.get(tid);
  }

  /** The thread of a number that is known: another may have that number by now. */
  known(tid: number): Thread | undefined {
    return this.#threads.get(tid);
  }

  /** The thread that makes a call; undefined if it is gone. Throws a SysError if the supervisor can open no more. */
  thread(tid: number, listener: Listener): Thread | undefined {
    const known = this.#threads.get(tid);
    if (known !== undefined && this.#isStill(known, tid)) return known;
    this.#forget(tid);
    return this.#meet(tid, listener);
  }

  /** The process that a descriptor is of, by its number here. */
  withPidfd(pidfd: number): HostProcess | undefined {
    return this.#processes.values().find((each) => each.pidfd === pidfd);
  }

  /** Whether a process is about to end, or has: it lets go of all that it has. */
  isEnding({ pid, exits }: HostProcess): boolean {
    if (exits !== undefined) return true;
    const { sys } = this.#parts.host;
    const fields = sys.processStat(pid);
    return fields === undefined || (Number(fields[7]) & PF_EXITING) !== 0;
  }

  /** A process has ended. */
  ended(process: HostProcess): void {
    if (!this.#processes.delete(process.pid)) return;
    const { host, epoll } = this.#parts;
    for (const [tid, thread] of this.#threads) {
      if (thread.process === process) this.#forget(tid);
    }
    epoll.unwatch(process.pidfd);
    if (process.exec !== undefined) host.sys.close(process.exec.memory);
    process.exit();
    host.sys.close(process.pidfd);
    const { exits } = process;
    host.watcher.ended?.(process, exits === undefined ? -1 : exits << 8);
  }

  /** Kills the processes whose calls come in at a listener, and waits for their ends. */
  killAll(listener: Listener): void {
    const { sys } = this.#parts.host;
    const { epoll } = this.#parts;
    const left = () =>
      [...this.#threads.values()].filter((thread) =>
        thread.listener === listener
      );
    for (const { pidfd } of left()) sys.pidfdSendSignal(pidfd, SIGKILL);
    while (left().length > 0) epoll.dispatch(POLL_MS);
  }

  /** Whether a thread's number is still that of this process's: it may have been given anew. */
  #isStill({ process }: Thread, tid: number): boolean {
    const { sys } = this.#parts.host;
    return sys.call(sys.nr.tgkill, process.pid, tid, 0) !== -ESRCH.code;
  }

  #forget(tid: number): void {
    this.#threads.get(tid)?.folder.close();
    this.#threads.delete(tid);
  }

  #meet(tid: number, listener: Listener): Thread | undefined {
    const { sys } = this.#parts.host;
    const ids = this.#idsOf(tid);
    if (ids === undefined) return undefined;
    const process = this.#process(ids.pid, ids.parent);
    if (process === undefined) return undefined;
    const folder = ThreadFolder.open(sys, tid);
    if (typeof folder === "number") return undefined;
    const thread = new Thread(tid, process, folder, listener);
    this.#threads.set(tid, thread);
    return thread;
  }

  /** The thread group and the parent of a thread. */
  #idsOf(tid: number): { pid: number; parent: number } | undefined {
    const { sys } = this.#parts.host;
    const text = sys.readFile(AT_FDCWD, `/proc/${tid}/status`);
    if (typeof text === "number") return undefined;
    const number = (name: string) =>
      Number(new RegExp(`^${name}:\\t(\\d+)$`, "m").exec(text)?.[1]);
    return { pid: number("Tgid"), parent: number("PPid") };
  }

  #process(pid: number, parentPid: number): HostProcess | undefined {
    const known = this.#processes.get(pid);
    if (known !== undefined) return known;
    const { host, epoll, beliefs, faults } = this.#parts;
    const { sys, kernel, machine } = host;
    const pidfd = sys.pidfdOpen(pid);
    if (pidfd < 0) return undefined;
    const parent = this.#processes.get(parentPid);
    const lender = parent !== undefined && sys.haveSameMemory(pid, parent.pid)
      ? parent
      : undefined;
    const eventfds = this.#eventfds;
    const files = new HostDescriptors(sys, machine, host.files, eventfds);
    const parts = { kernel, machine, pid, pidfd, files, faults, lender };
    const process = unlessGone(() => {
      const identity = new Identity(beliefs, pid, parent?.identity);
      return new HostProcess({ ...parts, identity });
    });
    if (process === undefined) {
      sys.close(pidfd);
      return undefined;
    }
    this.#processes.set(pid, process);
    kernel.addTask(process);
    epoll.watchReadable(pidfd, () => this.ended(process));
    host.watcher.began?.(process, parent);
    return process;
  }
}

/** What is made of a process; undefined if that is gone meanwhile. */
function unlessGone<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    if (ESRCH.is(error)) return undefined;
    throw error;
  }
}
