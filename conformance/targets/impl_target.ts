// SPDX-License-Identifier: GPL-2.0-only

/**
 * The in-process target: the model of this package. Every test gets a kernel
 * of its own.
 *
 * @module
 */

import { Kernel } from "../../impl/kernel.ts";
import type { FrameOrder } from "../../impl/kernel/memory/frames.ts";
import type { Process } from "../../impl/kernel/process.ts";
import {
  BusError,
  SegmentationFault,
} from "../../impl/kernel/memory/user_pages.ts";
import { HPAGE_SIZE, PAGE_SIZE } from "../../impl/uapi/mman.ts";
import type { RevisionName } from "../../impl/uapi/revision.ts";
import { kernelCapabilities } from "../../selftests/harness/capabilities.ts";
import type { Need } from "../../selftests/harness/harness.ts";
import type {
  Call,
  Target,
  TargetInfo,
  TargetProcess,
} from "../../selftests/target/target.ts";
import { MemoryFault } from "../../selftests/target/target_failure.ts";
import { VERSION } from "../version.ts";

/** What the model can do in every revision. */
const CAPABILITIES: readonly Need[] = [
  "hugetlb",
  "fork",
  "setrlimit",
  "setuid",
  "fail_nth",
];

/** How the model is set up. */
export interface ImplOptions {
  /** In which order memory is handed out; default `ordered`. */
  readonly frameOrder?: FrameOrder;
}

/** The model with the behaviour of a revision, as a target. */
export function implTarget(
  uapi: RevisionName,
  options: ImplOptions = {},
): Promise<Target> {
  return Promise.resolve(new ImplTarget(uapi, options));
}

class ImplTarget implements Target {
  readonly info: TargetInfo;
  readonly #uapi: RevisionName;
  readonly #options: ImplOptions;
  /** The kernel of the test that runs; made when its first process is spawned. */
  #kernel: Kernel | undefined;

  constructor(uapi: RevisionName, options: ImplOptions) {
    this.#uapi = uapi;
    this.#options = options;
    this.info = {
      name: "iommufd-kit model",
      version: VERSION,
      uapi,
      pageSize: PAGE_SIZE,
      hugePageSize: HPAGE_SIZE,
      capabilities: [...CAPABILITIES, ...kernelCapabilities(uapi)],
    };
  }

  spawn(): Promise<TargetProcess> {
    return Promise.try(() => {
      this.#kernel ??= new Kernel({
        revision: this.#uapi,
        ...this.#options,
      });
      return new ImplProcess(this.#kernel.spawn());
    });
  }

  reset(): Promise<string[]> {
    return Promise.try(() => {
      const kernel = this.#kernel;
      this.#kernel = undefined;
      if (kernel === undefined) return [];
      for (const process of [...kernel.processes]) process.exit();
      return kernel.audit();
    });
  }

  close(): Promise<void> {
    this.#kernel = undefined;
    return Promise.resolve();
  }
}

/** Does something with a process's memory; a part that it does not have is a {@link MemoryFault}. */
function touchMemory<T>(touch: () => T): Promise<T> {
  return Promise.try(() => {
    try {
      return touch();
    } catch (error) {
      if (error instanceof SegmentationFault || error instanceof BusError) {
        throw new MemoryFault(error.message);
      }
      throw error;
    }
  });
}

/** A process of the model. `Promise.try` turns what a call throws into a rejection. */
export class ImplProcess implements TargetProcess {
  readonly #process: Process;

  /** Makes its system calls as `process`. */
  constructor(process: Process) {
    this.#process = process;
  }

  open(path: string, flags?: number): Promise<number> {
    return Promise.try(() => this.#process.open(path, flags));
  }

  close(fd: number): Promise<number> {
    return Promise.try(() => this.#process.close(fd));
  }

  dup(fd: number): Promise<number> {
    return Promise.try(() => this.#process.dup(fd));
  }

  ioctl(fd: number, cmd: number, arg: Uint8Array): Promise<number> {
    return Promise.try(() => this.#process.ioctlStruct(fd, cmd, arg));
  }

  ioctlArg(fd: number, cmd: number, arg: number | bigint): Promise<number> {
    return Promise.try(() => this.#process.ioctl(fd, cmd, arg));
  }

  batch(calls: readonly Call[]): Promise<number[]> {
    return touchMemory(() => {
      const faults: unknown[] = [];
      const results = calls.map((call) => {
        try {
          return this.#call(call);
        } catch (error) {
          // The calls after it are made all the same.
          faults.push(error);
          return 0;
        }
      });
      if (faults.length > 0) throw faults[0];
      return results;
    });
  }

  /** Makes one call of a batch. */
  #call(call: Call): number {
    switch (call.call) {
      case "ioctl":
        return this.#process.ioctlStruct(call.fd, call.cmd, call.arg);
      case "poke":
        this.#process.poke(call.addr, call.bytes);
        return 0;
      case "peek":
        this.#process.peekInto(call.addr, call.into);
        return 0;
    }
  }

  mmap(
    addr: number,
    length: number,
    prot: number,
    flags: number,
    fd = -1,
    offset = 0,
  ): Promise<number> {
    return Promise.try(() =>
      this.#process.mmap(addr, length, prot, flags, fd, offset)
    );
  }

  munmap(addr: number, length: number): Promise<number> {
    return Promise.try(() => this.#process.munmap(addr, length));
  }

  mprotect(addr: number, length: number, prot: number): Promise<number> {
    return Promise.try(() => this.#process.mprotect(addr, length, prot));
  }

  madvise(addr: number, length: number, advice: number): Promise<number> {
    return Promise.try(() => this.#process.madvise(addr, length, advice));
  }

  read(fd: number, into: Uint8Array): Promise<number> {
    return Promise.try(() => this.#process.read(fd, into));
  }

  write(fd: number, bytes: Uint8Array): Promise<number> {
    return Promise.try(() => this.#process.write(fd, bytes));
  }

  poll(fd: number, events: number): Promise<number> {
    return Promise.try(() => this.#process.poll(fd, events));
  }

  peek(addr: number, length: number): Promise<Uint8Array> {
    return touchMemory(() => this.#process.peek(addr, length));
  }

  poke(addr: number, bytes: Uint8Array): Promise<void> {
    return touchMemory(() => this.#process.poke(addr, bytes));
  }

  memfdCreate(name: string, flags: number): Promise<number> {
    return Promise.try(() => this.#process.memfdCreate(name, flags));
  }

  ftruncate(fd: number, length: number): Promise<number> {
    return Promise.try(() => this.#process.ftruncate(fd, length));
  }

  eventfd(value: number, flags: number): Promise<number> {
    return Promise.try(() => this.#process.eventfd(value, flags));
  }

  pipe(): Promise<{ ret: number; readFd: number; writeFd: number }> {
    return Promise.try(() => this.#process.pipe());
  }

  setrlimit(resource: number, soft: bigint): Promise<number> {
    return Promise.try(() => this.#process.setrlimit(resource, soft));
  }

  setuid(uid: number): Promise<number> {
    return Promise.try(() => this.#process.setuid(uid));
  }

  dropCapability(capability: number): Promise<number> {
    return Promise.try(() => this.#process.dropCapability(capability));
  }

  vmStatus(): Promise<{ vmLck: number; vmPin: number }> {
    return Promise.try(() => this.#process.vmStatus());
  }

  setFailNth(nth: number): Promise<number> {
    return Promise.try(() => this.#process.setFailNth(nth));
  }

  failNthLeft(): Promise<number> {
    return Promise.try(() => this.#process.failNthLeft());
  }

  fork(): Promise<TargetProcess> {
    return Promise.try(() => new ImplProcess(this.#process.fork()));
  }

  exit(): Promise<void> {
    return Promise.try(() => this.#process.exit());
  }
}
