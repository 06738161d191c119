// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs programs on a kernel of the model.
 *
 * @module
 */

import type { Kernel } from "../../impl/kernel.ts";
import type { FaultInjection } from "../../impl/kernel/fault_injection.ts";
import { Beliefs, type Pretence } from "../calls/credentials/identity.ts";
import {
  type Answer,
  type Call,
  CONTINUE,
  type Host,
  type NotifiedCall,
} from "../calls/call.ts";
import { settleExec } from "../calls/exec.ts";
import type { HostProcess } from "../calls/process.ts";
import { NOTIFIED_CALLS, REFUSED_CALLS } from "../calls/table.ts";
import { Traps } from "../calls/traps/traps.ts";
import type { Watcher } from "../calls/watcher.ts";
import { DeviceMappings } from "../files/device_mappings.ts";
import { type EmulatedFile, EmulatedFiles } from "../files/emulated.ts";
import { Shown } from "../files/shown/shown.ts";
import { HostMachine } from "../memory/machine.ts";
import type { SyscallName } from "../sys/numbers.ts";
import { MissingNeeds, missingNeeds } from "../sys/needs.ts";
import { Sys } from "../sys/sys.ts";
import { Epoll } from "./epoll.ts";
import { filterOf } from "./filter.ts";
import type { Listener } from "./listener.ts";
import { Loop } from "./loop.ts";
import { Pace } from "./pace.ts";
import { Processes, type Thread } from "./processes.ts";
import { Program, type ProgramOptions } from "./program.ts";

const ENFILE = 23;

/** What a supervisor serves, and how. */
export interface SupervisorOptions {
  /** What answers. Its machine must be a {@link HostMachine}. */
  readonly kernel: Kernel;
  /** What the model is to believe of programs; default the truth. */
  readonly pretence?: Pretence;
  /** Which step of the kernel fails, for all processes together; default each thread counts alone. */
  readonly faults?: FaultInjection;
  /** Milliseconds that devices pause at most before they look again; default 4. */
  readonly pollMs?: number | undefined;
  /** Whether each store to a mapped BAR is trapped, of whatever device; default where a device has to see each. */
  readonly trapsStores?: boolean | undefined;
  /** Who watches. */
  readonly watcher?: Watcher;
}

/** Runs programs, several at a time if need be, until they have ended. */
export class Supervisor {
  readonly #host: Host;
  readonly #epoll: Epoll;
  readonly #loop: Loop;
  readonly #processes: Processes;
  readonly #filter: Uint8Array;
  readonly #byNumber = new Map<number, NotifiedCall>();
  readonly #programs = new Set<Program>();

  /** Runs nothing yet. Throws {@link MissingNeeds}, and a TypeError for a kernel without real memory. */
  constructor(options: SupervisorOptions) {
    const { kernel, pretence, pollMs, faults, watcher = {} } = options;
    const { machine } = kernel;
    if (!(machine instanceof HostMachine)) {
      throw new TypeError("The kernel must have a HostMachine as its machine");
    }
    const sys = Sys.shared;
    const missing = missingNeeds(sys);
    if (missing.length > 0) throw new MissingNeeds(missing);
    this.#epoll = new Epoll(sys);
    const files = new EmulatedFiles(sys, this.#epoll);
    files.onClosing = (closing) => this.#closing(closing);
    const shown = new Shown({
      kernel,
      sys,
      processOf: (tid) => this.#processes.processOf(tid),
      fileOfSocket: (inode) => files.findSocket(inode),
    });
    const mapped = new DeviceMappings(sys);
    const traps = new Traps(sys, this.#epoll);
    const { trapsStores = false } = options;
    this.#host = {
      sys,
      kernel,
      machine,
      files,
      mapped,
      traps,
      trapsStores,
      shown,
      watcher,
    };
    const { nr, architecture } = sys;
    for (const call of NOTIFIED_CALLS) this.#byNumber.set(nr[call.name], call);
    this.#filter = filterOf({
      architecture,
      nr,
      calls: NOTIFIED_CALLS,
      refused: REFUSED_CALLS,
    });
    const epoll = this.#epoll;
    this.#processes = new Processes({
      host: this.#host,
      epoll,
      beliefs: new Beliefs(sys, pretence),
      faults,
    });
    const pace = new Pace(pollMs);
    this.#loop = new Loop(epoll, mapped, pace, () => machine.dropIdle());
  }

  /** The processes that are known, oldest first. */
  get processes(): Iterable<HostProcess> {
    return this.#processes.values();
  }

  /** Starts a program. Throws {@link ProgramError} if it cannot be. */
  start(options: ProgramOptions): Program {
    const program = new Program(this.#host.sys, this.#filter, options);
    this.#programs.add(program);
    const { listener } = program;
    this.#epoll.listen(listener.fd, () => this.#serve(program));
    this.#epoll.watchReadable(program.guard, () => this.#ended(program));
    void this.#loop.run(() => this.#programs.size > 0)
      .catch((error) => this.#broke(error));
    return program;
  }

  /** Gives up what it holds, when no program runs: nothing can be started any more. */
  close(): void {
    this.#epoll.close();
  }

  /** One call of a program. */
  #serve(program: Program): void {
    const { listener } = program;
    if (!listener.receive()) return;
    if (!listener.isNative) return this.#refuse(program);
    const notified = this.#byNumber.get(listener.nr)!;
    const quick = this.#quickly(notified, listener);
    if (quick === CONTINUE) return listener.continue();
    this.#host.mapped.settle();
    // What was stored before the call counts before it.
    this.#host.mapped.poll();
    const thread = quick ?? this.#threadOf(listener);
    if (thread === undefined) return;
    const { process } = thread;
    if (process.exec !== undefined) this.#settleExec(process);
    const call = new ReceivedCall(this.#host, notified.name, thread);
    this.#answer(listener, this.#answerOf(notified, call));
    process.end();
  }

  /** What a handler answers; an errno that it throws is one too, as where the process is gone meanwhile. */
  #answerOf(notified: NotifiedCall, call: Call): Answer {
    try {
      return notified.handle(call);
    } catch (error) {
      return this.#host.kernel.resultOfError(error);
    }
  }

  /**
   * Who makes a call on a file of the model's: that the descriptor is found in
   * the folder of the thread says that this is still the thread's. CONTINUE for
   * a file of the host's: the model has nothing to do with the call.
   */
  #quickly(
    notified: NotifiedCall,
    listener: Listener,
  ): Thread | typeof CONTINUE | undefined {
    if (!notified.onDescriptor) return undefined;
    const thread = this.#processes.known(listener.tid);
    if (thread === undefined) return undefined;
    const { process } = thread;
    process.begin(listener.tid, thread);
    const fd = listener.int(0);
    if (process.files.emulated(fd) !== undefined) return thread;
    const isDone = process.exec === undefined && process.files.isOfHost(fd);
    return isDone ? CONTINUE : undefined;
  }

  #settleExec(process: HostProcess): void {
    const { sys, watcher } = this.#host;
    const path = settleExec(sys, process);
    if (path !== undefined) watcher.exec?.(process, path);
  }

  #answer(listener: Listener, answer: Answer): void {
    if (answer === CONTINUE) listener.continue();
    else listener.answer(answer);
  }

  /** Who makes a call; undefined if there is nobody to answer any more. */
  #threadOf(listener: Listener): Thread | undefined {
    const thread = this.#processes.thread(listener.tid, listener);
    if (thread !== undefined) thread.process.begin(listener.tid, thread);
    else if (listener.waits) listener.answer(-ENFILE);
    return thread;
  }

  /** A program for another architecture, of which there are calls that nobody here knows. */
  #refuse(program: Program): void {
    const { tid } = program.listener;
    program.complain(
      `Process ${tid} is a program for another architecture, such as one of 32 bits, and was killed: build it for ${this.#host.sys.architecture}.`,
    );
    const { sys } = this.#host;
    sys.call(sys.nr.kill, tid, 9);
  }

  /** All processes of a program are gone. */
  #ended(program: Program): void {
    this.#programs.delete(program);
    this.#epoll.unwatch(program.guard);
    this.#epoll.unlisten(program.listener.fd);
    if (!program.guardEnded()) this.#processes.killAll(program.listener);
    // What they had open is hung up by now.
    while (this.#epoll.dispatch(0));
    if (this.#programs.size === 0) this.#endAll();
    program.end();
  }

  /** The last descriptor of a file is gone. */
  #closing({ file, name, holder }: EmulatedFile): void {
    const { watcher } = this.#host;
    if (watcher.closing === undefined) return;
    const process = this.#processes.withPidfd(holder.pidfd);
    const ends = process === undefined || this.#processes.isEnding(process);
    watcher.closing(file, name, ends);
  }

  /** No program runs any more: what is left was sent to others, or to nobody. */
  #endAll(): void {
    for (const process of [...this.#processes.values()]) {
      this.#processes.ended(process);
    }
    this.#host.mapped.releaseAll();
    this.#host.files.releaseAll();
  }

  /** The supervisor itself failed: no program goes on. */
  #broke(error: unknown): void {
    const programs = [...this.#programs];
    for (const program of programs) {
      this.#programs.delete(program);
      this.#epoll.unwatch(program.guard);
      this.#epoll.unlisten(program.listener.fd);
      program.fail(error);
    }
  }
}

/** A call that was received. */
class ReceivedCall implements Call {
  readonly host: Host;
  readonly name: SyscallName;
  readonly tid: number;
  readonly process: HostProcess;
  readonly #listener: Listener;

  constructor(host: Host, name: SyscallName, thread: Thread) {
    this.host = host;
    this.name = name;
    this.process = thread.process;
    this.#listener = thread.listener;
    this.tid = thread.listener.tid;
  }

  arg(index: number): number {
    return this.#listener.arg(index);
  }

  int(index: number): number {
    return this.#listener.int(index);
  }

  arg64(index: number): bigint {
    return this.#listener.arg64(index);
  }

  answerWithDescriptor(): void {
    this.#listener.answerWithDescriptor();
  }

  addDescriptor(fd: number, closeOnExec: boolean): number {
    return this.#listener.addDescriptor(fd, closeOnExec);
  }

  goOn(): void {
    this.#listener.continue();
  }
}
