// SPDX-License-Identifier: GPL-2.0-only

/**
 * A real process, as a task of the model.
 *
 * @module
 */

import type { Kernel } from "../../impl/kernel.ts";
import type { User } from "../../impl/kernel/credentials.ts";
import type { FileMapping, MapRequest } from "../../impl/kernel/files/file.ts";
import { FaultInjection } from "../../impl/kernel/fault_injection.ts";
import { SystemCalls } from "../../impl/kernel/system_calls.ts";
import type { Caller } from "../files/caller.ts";
import type { HostDescriptors } from "../files/descriptors.ts";
import type { HostMm } from "../memory/host_mm.ts";
import type { HostMachine } from "../memory/machine.ts";
import type { Identity } from "./credentials/identity.ts";

/** Memory with how many processes have it: a child of vfork has its parent's until exec. */
export class SharedMm {
  /** It. */
  readonly mm: HostMm;
  readonly #machine: HostMachine;
  #users = 1;

  /** Of one process. */
  constructor(machine: HostMachine, mm: HostMm) {
    this.#machine = machine;
    this.mm = mm;
  }

  /** One more has it. */
  get(): this {
    this.#users++;
    return this;
  }

  /** One less; the last one lets go of it. */
  put(): void {
    if (--this.#users === 0) this.#machine.closeMm(this.mm);
  }
}

/** An exec that may have come to pass. */
export interface PendingExec {
  /** Of which program. */
  readonly path: string;
  /** The memory before it, as a descriptor (/proc/PID/mem). */
  readonly memory: number;
}

/** What a process is made of. */
export interface HostProcessParts {
  /** What answers. */
  readonly kernel: Kernel;
  /** Its thread group's number. */
  readonly pid: number;
  /** A descriptor of it. */
  readonly pidfd: number;
  /** Its descriptors. */
  readonly files: HostDescriptors;
  /** Who it is. */
  readonly identity: Identity;
  /** Where its memory comes from. */
  readonly machine: HostMachine;
  /** Which step of the kernel fails, for all its threads together; undefined to count each alone. */
  readonly faults: FaultInjection | undefined;
  /** Whose memory it has until it runs another program, if another's. */
  readonly lender: HostProcess | undefined;
}

/** One thread group. */
export class HostProcess extends SystemCalls {
  declare readonly files: HostDescriptors;
  /** A descriptor of it. */
  readonly pidfd: number;
  /** Who it is. */
  readonly identity: Identity;
  /** The program that it may be running by now instead. */
  exec: PendingExec | undefined;
  /** The status that it ends with, once it has said so. */
  exits: number | undefined;
  readonly #machine: HostMachine;
  #lender: HostProcess | undefined;
  #mm: SharedMm | undefined;
  readonly #faults: FaultInjection | undefined;
  /** By thread, those that were asked for. */
  readonly #faultsByThread = new Map<number, FaultInjection>();
  /** The thread that makes a call, or made the last one. */
  #tid: number;

  /** A process that the kernel does not know yet. */
  constructor(parts: HostProcessParts) {
    super(parts.kernel, parts.pid, parts.files);
    this.pidfd = parts.pidfd;
    this.identity = parts.identity;
    this.#machine = parts.machine;
    this.#faults = parts.faults;
    this.faults = this.faultsOf(parts.pid);
    this.#lender = parts.lender;
    this.#tid = parts.pid;
  }

  /** Its memory. Throws EFAULT if it has ended. */
  get mm(): HostMm {
    return this.#shared.mm;
  }

  /** The same, if it was looked at: of other memory nothing is pinned. */
  get openedMm(): HostMm | undefined {
    return this.#mm?.mm ?? this.#lender?.openedMm;
  }

  /** Whose memory it has, if another's. */
  get lender(): HostProcess | undefined {
    return this.#lender;
  }

  get #shared(): SharedMm {
    this.#mm ??= this.#lender === undefined
      ? new SharedMm(this.#machine, this.#openMm())
      : this.#lender.#shared.get();
    return this.#mm;
  }

  #openMm(): HostMm {
    const { kernel } = this;
    return this.#machine.openMm(this.#tid, (name) => kernel.step(name));
  }

  /** Which step of a thread fails. */
  faultsOf(tid: number): FaultInjection {
    if (this.#faults !== undefined) return this.#faults;
    let faults = this.#faultsByThread.get(tid);
    if (faults === undefined) {
      faults = new FaultInjection();
      this.#faultsByThread.set(tid, faults);
    }
    return faults;
  }

  /** The user that it is charged to. */
  get user(): User {
    return this.kernel.user(this.identity.uid);
  }

  /** True if it has a capability, `CAP_*`. */
  capable(capability: number): boolean {
    return this.identity.capable(capability);
  }

  /** The soft limit of a resource, `RLIMIT_*`. Throws EINVAL for what is none. */
  rlimit(resource: number): bigint {
    return this.identity.limit(resource);
  }

  /** What of a file is to be mapped, or a negative errno: EBADF, and what the file answers. `lose` is called as `File.mapping()` does. */
  fileMapping(
    fd: number,
    request: MapRequest,
    lose: () => void,
  ): FileMapping | number {
    let found: FileMapping | undefined;
    const result = this.syscall(() => {
      found = this.files.lookup(fd).mapping(request, lose);
    });
    return found ?? result;
  }

  /** One of its threads begins a call. */
  begin(tid: number, caller: Caller): void {
    this.#tid = tid;
    this.faults = this.faultsOf(tid);
    this.files.begin(caller);
    this.#mm?.mm.beginCall(tid);
  }

  /** The call was answered. */
  end(): void {
    this.files.end();
  }

  /** It may be about to run another program. What is pinned is remembered. */
  execBegins(exec: PendingExec): void {
    this.exec = exec;
    if (this.#mm !== undefined) this.#machine.remember(this.#mm.mm);
  }

  /** Whether it came to pass is known. */
  execEnded(runsAnother: boolean): void {
    this.exec = undefined;
    if (!runsAnother) {
      if (this.#mm !== undefined) this.#machine.forget(this.#mm.mm);
      return;
    }
    this.releaseMemory();
    this.identity.exec();
  }

  /** Lets go of the memory. */
  protected override releaseMemory(): void {
    this.#mm?.put();
    this.#mm = undefined;
    this.#lender = undefined;
  }
}
