// SPDX-License-Identifier: GPL-2.0-only

/**
 * The kernel around iommufd: machine memory, users, processes, devices.
 *
 * @module
 */

import { asErrno, EINVAL, ENOENT, ENOMEM, type Errno } from "../uapi/errno.ts";
import type { XarrayNodes } from "../lib/xarray_nodes.ts";
import { O_CREAT, O_DIRECTORY, PAGE_SIZE } from "../uapi/mman.ts";
import {
  NEWEST,
  type Revision,
  REVISION_NAMES,
  type RevisionName,
  REVISIONS,
} from "../uapi/revision.ts";
import type { Machine } from "./interfaces/machine.ts";
import type { ProcessMemory } from "./interfaces/process_memory.ts";
import type { Task } from "./interfaces/task.ts";
import type { PhysicalMemory } from "./interfaces/physical_memory.ts";
import {
  ALL_CAPABILITIES,
  Credentials,
  ResourceLimits,
  User,
} from "./credentials.ts";
import { Executable } from "./files/exe_file.ts";
import { errnoOfStep, type StepName } from "./fault_steps.ts";
import { FdTable } from "./files/fd_table.ts";
import {
  checkIsThere,
  type File,
  type OpenDevice,
  openDevice,
} from "./files/file.ts";
import {
  SimulatedMachine,
  type SimulatedMachineOptions,
} from "./simulated/machine.ts";
import { NullFile } from "./files/null_file.ts";
import { Tmpfs } from "./files/tmpfs.ts";
import { Process, type ProcessParts } from "./simulated/process.ts";
import { TempBuffers } from "./temp_buffers.ts";
import { Warnings } from "./warn.ts";

export { User } from "./credentials.ts";

/** How a kernel is made. */
export interface KernelOptions extends SimulatedMachineOptions {
  /** Which behaviour iommufd has; default the newest. */
  readonly revision?: RevisionName | Revision;
  /** What it runs on; default a simulated machine, made with the other options. */
  readonly machine?: Machine;
}

/** How a process is made. */
export interface SpawnOptions {
  /** User id; default 0. */
  readonly uid?: number;
  /** `CAP_*` numbers; default all of them for uid 0, none for others. */
  readonly capabilities?: readonly number[];
}

/** One machine. All state hangs from it, so kernels are independent. */
export class KernelCore {
  /** How iommufd behaves. */
  readonly revision: Revision;
  /** What it runs on. */
  readonly machine: Machine;
  /** What the kernel warned about. */
  readonly warnings: Warnings = new Warnings();
  /** Lists of frame numbers for temporary use. */
  readonly tempBuffers: TempBuffers = new TempBuffers();
  /**
   * The task whose system call runs (Linux: current). Undefined outside of
   * system calls: a kernel thread, or a driver on its own.
   */
  current: Task | undefined;
  /** System calls that run: more than one where a driver makes some of its own. */
  callDepth = 0;
  /** Bytes of one batch of pages, what the selftest's SET_TEMP_MEMORY_LIMIT sets (Linux: iommufd_test_memory_limit). */
  tempMemoryLimit = 65536;

  /** What the last system call that failed ended in, with the reason. For people: no program can see it. */
  lastErrno: Errno | undefined;

  /** /dev/shm. */
  readonly tmpfs: Tmpfs;

  readonly #devices = new Map<string, OpenDevice>();
  #deviceChanges = 0;
  readonly #tasks = new Set<Task>();
  readonly #processes = new Set<Process>();
  readonly #users = new Map<number, User>();
  #lastPid = 0;

  /**
   * A machine without devices of note: /dev/null and /proc/self/exe. Throws a
   * RangeError for an option with a value that cannot be.
   */
  constructor(options: KernelOptions = {}) {
    this.revision = revisionOf(options.revision ?? NEWEST);
    this.machine = options.machine ?? new SimulatedMachine(options);
    this.tmpfs = new Tmpfs(this.machine);
    const executable = new Executable(this.machine);
    this.registerDevice("/dev/null", (_task, access) => new NullFile(access));
    this.registerDevice(
      "/proc/self/exe",
      (task, access) => executable.open(task, access),
    );
  }

  /** The result of a system call for what was thrown: the negative number of an errno. Anything else is thrown on. */
  resultOfError(error: unknown): number {
    const errno = asErrno(error);
    this.lastErrno = errno;
    return -errno.code;
  }

  /** The machine's memory. */
  get frames(): PhysicalMemory {
    return this.machine.frames;
  }

  /** All who can make calls and have not exited, oldest first. */
  get tasks(): ReadonlySet<Task> {
    return this.#tasks;
  }

  /** Those of them that the machine runs itself: see {@link spawn}. */
  get processes(): ReadonlySet<Process> {
    return this.#processes;
  }

  /**
   * Makes a path that open finds; the caller takes over the reference of the
   * file that `open` returns. (Linux: misc_register.)
   */
  registerDevice(path: string, open: OpenDevice): void {
    this.#devices.set(path, open);
    this.#deviceChanges++;
  }

  /** The opposite: nobody can open the path any more. */
  unregisterDevice(path: string): void {
    this.#devices.delete(path);
    this.#deviceChanges++;
  }

  /** How often what can be opened has changed. */
  get deviceChanges(): number {
    return this.#deviceChanges;
  }

  /** What opens the paths that were registered. */
  get devices(): ReadonlyMap<string, OpenDevice> {
    return this.#devices;
  }

  /** The user with an id. */
  user(uid: number): User {
    let user = this.#users.get(uid);
    if (user === undefined) {
      user = new User(uid);
      this.#users.set(uid, user);
    }
    return user;
  }

  /**
   * A fresh process with empty memory and descriptors 0 to 2 open. Throws a
   * RangeError for what is no user id or no capability.
   */
  spawn(options: SpawnOptions = {}): Process {
    const uid = options.uid ?? 0;
    const files = new FdTable();
    const terminal = new NullFile();
    const limits = new ResourceLimits();
    for (let fd = 0; fd <= 2; fd++) files.install(terminal.get(), 3n);
    terminal.put();
    return this.addProcess({
      mm: this.createMm(),
      files,
      credentials: new Credentials(
        uid,
        options.capabilities ?? (uid === 0 ? ALL_CAPABILITIES : []),
      ),
      limits,
    });
  }

  /** Empty memory for a process. */
  createMm(): ProcessMemory {
    return this.machine.createMm(
      (name) => this.step(name),
      this.revision.pages,
    );
  }

  /** Whether a later step of the running process will be made to fail. */
  get injectsFaults(): boolean {
    return (this.current?.faults.nth ?? 0) > 0;
  }

  /**
   * The running process comes to a step that fault injection can make fail:
   * throws the errno that the caller gets then. Never outside of a system call.
   */
  step(name: StepName): void {
    if (this.fails(name)) throw madeToFail(errnoOfStep(name), name);
  }

  /** The same, for a step after whose failure there is another way: true if it fails. */
  fails(name: StepName): boolean {
    const faults = this.current?.faults;
    return faults !== undefined && faults.nth > 0 &&
      faults.fails(name, this.revision.name);
  }

  /**
   * The steps that stand for the nodes which an xarray needs for entries at
   * the indexes `first` to `last`: nothing comes of a failure, as each is tried
   * once without and once with waiting. `held` makes the nodes that the xarray
   * has; it is not called while no failure can come. (Linux: xas_alloc.)
   */
  allocNodes(held: () => XarrayNodes, first: number, last: number): void {
    if (!this.injectsFaults) return;
    for (let left = held().add(first, last); left > 0; left--) {
      this.fails("xarray.node");
    }
  }

  /**
   * A step that stands for an allocation of `bytes` in kernel address space; none for 0 bytes.
   * Throws ENOMEM when it is made to fail, unless more than a page is wanted:
   * that need not be contiguous, so that there is another way to get it. More
   * than the machine's memory is ENOMEM too. (Linux: kvmalloc.)
   */
  allocVirtual(name: StepName, bytes: number): void {
    if (bytes > this.frames.count * PAGE_SIZE) {
      throw ENOMEM.because("the machine has not so much memory");
    }
    if (bytes > 0 && this.fails(name) && bytes <= PAGE_SIZE) {
      throw madeToFail(ENOMEM, name);
    }
  }

  /**
   * What is wrong after all processes exited, a sentence each: warnings,
   * frames that are still in use, users that are still charged.
   */
  audit(): string[] {
    return [
      ...this.warnings.list.map((what) => `The kernel warned: ${what}.`),
      ...Array.from(
        this.#tasks.values(),
        ({ pid }) => `Process ${pid} has not exited.`,
      ),
      ...this.leftBehind(),
    ];
  }

  /** What is wrong where no process has anything of the kernel's open, a sentence each: the part of the audit that is not about processes. */
  leftBehind(): string[] {
    const problems: string[] = [];
    for (const path of this.tmpfs.paths) {
      problems.push(`The file ${path} was left.`);
    }
    const pinned = this.frames.countPinned();
    if (pinned > 0) problems.push(`${pinned} page frames are still pinned.`);
    if (this.frames.used > 0) {
      problems.push(`${this.frames.used} page frames are still in use.`);
    }
    for (const { uid, lockedVm } of this.#users.values()) {
      if (lockedVm === 0) continue;
      problems.push(`User ${uid} is still charged ${lockedVm} pages.`);
    }
    return problems;
  }

  /**
   * Opens a path for a task: a device, a file in /dev/shm, or what a descriptor
   * of the task is open to. Throws ENOENT, EEXIST, EINVAL, ENOTDIR, and what the
   * file throws. For `SystemCalls` only.
   */
  openPath(path: string, task: Task, flags: number): File {
    const makesDirectory = O_CREAT | O_DIRECTORY;
    if ((flags & makesDirectory) === makesDirectory) throw EINVAL;
    const device = this.#devices.get(path);
    if (device !== undefined) {
      checkIsThere(flags);
      return openDevice(device, task, flags);
    }
    const fd = /^\/proc\/self\/fd\/(\d+)$/.exec(path)?.[1];
    const open = fd === undefined ? undefined : task.files.get(Number(fd));
    if (open !== undefined) {
      checkIsThere(flags);
      return open.reopen(task, flags);
    }
    const file = this.tmpfs.open(path, task, flags);
    if (file === undefined) throw ENOENT.because("there is no such file");
    return file;
  }

  /** Makes a process of its parts. For `Process.fork` and {@link spawn} only. */
  addProcess(parts: ProcessParts): Process {
    const process = new Process(this, ++this.#lastPid, parts);
    this.#processes.add(process);
    this.addTask(process);
    return process;
  }

  /** Makes a task known, which can make calls from now on. */
  addTask(task: Task): void {
    this.#tasks.add(task);
  }

  /** Forgets a task that exits. For `SystemCalls.exit` only. */
  removeTask(task: Task): void {
    this.#tasks.delete(task);
    if (task instanceof Process) this.#processes.delete(task);
  }
}

/** Throws a RangeError for a name that no revision has. */
function revisionOf(revision: RevisionName | Revision): Revision {
  if (typeof revision !== "string") return revision;
  if (Object.hasOwn(REVISIONS, revision)) return REVISIONS[revision];
  throw new RangeError(
    `There is no revision ${revision}: there are ${REVISION_NAMES.join(", ")}`,
  );
}

/** The errno of a step that fault injection chose. */
function madeToFail(errno: Errno, name: StepName): Errno {
  return errno.because(`fail_nth made the step ${name} fail`);
}
