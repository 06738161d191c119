// SPDX-License-Identifier: GPL-2.0-only

/**
 * The boundary between the tests and an implementation of iommufd: a target
 * that spawns processes, and processes that make system calls.
 *
 * @module
 */

/** What a target says about itself. */
export interface TargetInfo {
  /** Name of the implementation. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
  /** Revision of the uAPI that it implements: a key of `REVISIONS`, such as `6.12`. */
  readonly uapi: string;
  /** Bytes of a CPU page. */
  readonly pageSize: number;
  /** Bytes of a huge page. */
  readonly hugePageSize: number;
  /** What it can do beyond the plain ioctls, such as `hugetlb`, `fork`, `fail_nth`. */
  readonly capabilities: readonly string[];
}

/** A system call as data, for {@link TargetProcess.batch}. */
export type Call =
  /** An ioctl with a struct by value; `arg` is updated in place. */
  | {
    readonly call: "ioctl";
    readonly fd: number;
    readonly cmd: number;
    readonly arg: Uint8Array;
  }
  /** Writes `bytes` to the process's own memory. */
  | {
    readonly call: "poke";
    readonly addr: number;
    readonly bytes: Uint8Array;
  }
  /** Fills `into` from the process's own memory. */
  | {
    readonly call: "peek";
    readonly addr: number;
    readonly into: Uint8Array;
  };

/** A system call as data, for {@link TargetProcess.time}. */
export type TimedCall =
  /** An ioctl with a struct by value; `arg` is updated in place. */
  | Extract<Call, { readonly call: "ioctl" }>
  /** An ioctl whose argument is a plain number or an address. */
  | {
    readonly call: "ioctlArg";
    readonly fd: number;
    readonly cmd: number;
    readonly arg: number;
  }
  /** Opens a path. */
  | {
    readonly call: "open";
    readonly path: string;
    readonly flags: number;
  }
  /** Closes a descriptor. */
  | {
    readonly call: "close";
    readonly fd: number;
  };

/** What {@link TargetProcess.time} measured. */
export interface Timing {
  /** Nanoseconds that all repetitions of a call took together, in the order of the calls. */
  readonly nanoseconds: number[];
  /** What each call returned in the last repetition. */
  readonly results: number[];
}

/**
 * A process that makes system calls. Results are those of the kernel: a
 * non-negative number, or a negative errno. Addresses are byte addresses in
 * the process's own memory.
 *
 * A method rejects only when the target itself fails: it died, answered
 * nonsense, or the process touched memory that it does not have. It should
 * reject with a {@link TargetFailure}, which says how the test ends.
 */
export interface TargetProcess {
  /** Opens a path; `/dev/iommu` at least. */
  open(path: string, flags?: number): Promise<number>;
  /** Closes a descriptor. */
  close(fd: number): Promise<number>;
  /** Duplicates a descriptor to the lowest free one. */
  dup(fd: number): Promise<number>;
  /**
   * An ioctl with a struct by value: the target places `arg` so that the byte
   * after it is unmapped, makes the call and copies the memory back to `arg`.
   */
  ioctl(fd: number, cmd: number, arg: Uint8Array): Promise<number>;
  /** An ioctl whose argument is a plain number or an address. */
  ioctlArg(fd: number, cmd: number, arg: number | bigint): Promise<number>;
  /** Several calls in order, in one round trip. All are made; results in the same order. */
  batch(calls: readonly Call[]): Promise<number[]>;
  /**
   * Makes a list of calls `times` times, in a loop of the target's own that
   * takes the time of each. Every repetition begins with the structs as they
   * are given; each `arg` is then what the last one left in it. Only where the
   * target names the capability `time`.
   */
  time?(times: number, calls: readonly TimedCall[]): Promise<Timing>;
  /** Maps memory; returns its address. `fd` -1 for anonymous memory. */
  mmap(
    addr: number,
    length: number,
    prot: number,
    flags: number,
    fd?: number,
    offset?: number,
  ): Promise<number>;
  /** Unmaps memory. */
  munmap(addr: number, length: number): Promise<number>;
  /** Changes the protection of memory. */
  mprotect(addr: number, length: number, prot: number): Promise<number>;
  /** Gives advice about memory. */
  madvise(addr: number, length: number, advice: number): Promise<number>;
  /** Reads up to `into.length` bytes from a descriptor. */
  read(fd: number, into: Uint8Array): Promise<number>;
  /** Writes bytes to a descriptor. */
  write(fd: number, bytes: Uint8Array): Promise<number>;
  /** The `POLL*` conditions out of `events` that hold now, without waiting. */
  poll(fd: number, events: number): Promise<number>;
  /** `length` bytes of the process's own memory. */
  peek(addr: number, length: number): Promise<Uint8Array>;
  /** Writes to the process's own memory. */
  poke(addr: number, bytes: Uint8Array): Promise<void>;
  /** Makes a memory file; returns its descriptor. */
  memfdCreate(name: string, flags: number): Promise<number>;
  /** Sets the length of a memory file. */
  ftruncate(fd: number, length: number): Promise<number>;
  /** Makes an eventfd with a first value; returns its descriptor. */
  eventfd(value: number, flags: number): Promise<number>;
  /** Makes a pipe; returns 0 and the two descriptors, or a negative errno and none. */
  pipe(): Promise<{ ret: number; readFd: number; writeFd: number }>;
  /** Sets the soft limit of a resource (`RLIMIT_*`), the hard one left as it is. */
  setrlimit(resource: number, soft: bigint): Promise<number>;
  /** Sets the real and effective user id. */
  setuid(uid: number): Promise<number>;
  /** Gives up a capability (`CAP_*`). */
  dropCapability(capability: number): Promise<number>;
  /** Pages charged and pinned: `VmLck` and `VmPin` of /proc/self/status, in KiB. */
  vmStatus(): Promise<{ vmLck: number; vmPin: number }>;
  /**
   * Makes the nth fallible kernel step of this process fail; 0 turns that off.
   * Returns a negative errno where fault injection is not there.
   */
  setFailNth(nth: number): Promise<number>;
  /** What is left of the count set by `setFailNth`: 0 when the failure was hit. */
  failNthLeft(): Promise<number>;
  /** A child with a copy of memory and descriptors. */
  fork(): Promise<TargetProcess>;
  /** Ends the process. Idempotent. */
  exit(): Promise<void>;
}

/** An implementation under test. */
export interface Target {
  /** What it says about itself. */
  readonly info: TargetInfo;
  /** A new process with all privileges and memory of its own. */
  spawn(): Promise<TargetProcess>;
  /**
   * Ends all processes and checks what they left behind. Returns one sentence
   * for each problem: a kernel warning, a pinned page, memory still charged.
   */
  reset(): Promise<string[]>;
  /**
   * What it wrote to its standard error since this was asked last, for a
   * person; a long text may be cut at its beginning. Absent where there is none.
   */
  takeStderr?(): string;
  /** Ends the target, by force if it does not end by itself. Idempotent. */
  close(): Promise<void>;
}

export {
  MemoryFault,
  ProcessDied,
  ProtocolError,
  TargetFailure,
  type TargetFailureStatus,
} from "./target_failure.ts";
