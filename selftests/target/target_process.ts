// SPDX-License-Identifier: GPL-2.0-only

/**
 * The system calls of a process as methods: what tests are written with.
 *
 * @module
 */

import { O_RDWR } from "../../impl/uapi/mman.ts";
import type { Caller, Timing } from "./target.ts";
import { MemoryFault, TargetFailure } from "./target_failure.ts";
import { type ArgumentsOf, type Call, call, type VerbName } from "./verbs.ts";

/**
 * A process that makes system calls. Results are those of the kernel: a
 * non-negative number, or a negative errno. Addresses are byte addresses in
 * the process's own memory.
 *
 * A method rejects only when the target itself fails (it died, or answered
 * nonsense), or when the process touches memory that it does not have. It
 * should reject with a {@link TargetFailure}, which says how the test ends.
 */
export class TargetProcess {
  /** The number that the target has for it. */
  readonly number: number;
  readonly #caller: Caller;
  #exited: Promise<void> | undefined;

  /** The process of that number; {@link TargetProcess.spawn} makes one. */
  constructor(caller: Caller, number: number) {
    this.#caller = caller;
    this.number = number;
  }

  /** A new process with all privileges and memory of its own, for a test that needs these capabilities. */
  static async spawn(
    caller: Caller,
    needs: readonly string[] = [],
  ): Promise<TargetProcess> {
    return new TargetProcess(caller, await caller.spawn(needs));
  }

  /** Makes calls in order, all of them; their results. */
  make(calls: readonly Call[]): Promise<number[]> {
    return this.#caller.make(this.number, calls);
  }

  async #make<N extends VerbName>(
    name: N,
    ...args: ArgumentsOf<N>
  ): Promise<number> {
    const made = call(name, ...args);
    const [result] = await this.make([made]);
    if (made.verb.faults && result! < 0) throw memoryFault(made);
    return result!;
  }

  /** Makes calls in order, all of them. Rejects with {@link MemoryFault} if one of them touches memory that is not there. */
  async batch(calls: readonly Call[]): Promise<number[]> {
    if (calls.length === 0) return [];
    const results = await this.make(calls);
    for (let i = 0; i < calls.length; i++) {
      if (results[i]! < 0 && calls[i]!.verb.faults) {
        throw memoryFault(calls[i]!);
      }
    }
    return results;
  }

  /**
   * Makes a list of calls `times` times, in a loop of the target's own that
   * takes the time of each. Every repetition begins with the structs as they
   * are given; each is then what the last one left in it. Only where the
   * target names the capability `time`, and for verbs that can be timed.
   */
  async time(times: number, calls: readonly Call[]): Promise<Timing> {
    if (this.#caller.time === undefined) {
      throw new TargetFailure("error", "The target cannot take times");
    }
    return await this.#caller.time(this.number, times, calls);
  }

  /** Opens a path; `/dev/iommu` at least. A file that is made gets the mode 0600. */
  open(path: string, flags: number = O_RDWR): Promise<number> {
    return this.#make("open", path, flags);
  }

  /** Closes a descriptor. */
  close(fd: number): Promise<number> {
    return this.#make("close", fd);
  }

  /** Duplicates a descriptor to the lowest free one. */
  dup(fd: number): Promise<number> {
    return this.#make("dup", fd);
  }

  /** Makes `newFd` a duplicate of `fd`; what it was open to is closed. Returns it. */
  dup2(fd: number, newFd: number): Promise<number> {
    return this.#make("dup2", fd, newFd);
  }

  /** As {@link dup2}, with the flags of the new descriptor, `O_CLOEXEC`; the two must differ. */
  dup3(fd: number, newFd: number, flags: number): Promise<number> {
    return this.#make("dup3", fd, newFd, flags);
  }

  /** Takes the name of a file away, in a file system of memory: `/dev/shm`. */
  unlink(path: string): Promise<number> {
    return this.#make("unlink", path);
  }

  /** Gives another process a descriptor of what `fd` is open to; returns the other's descriptor. */
  passFd(fd: number, to: TargetProcess): Promise<number> {
    return this.#make("passfd", fd, to.number);
  }

  /**
   * An ioctl with a struct by value: the target places `arg` so that the byte
   * after it is unmapped, makes the call and copies the memory back to `arg`.
   */
  ioctl(fd: number, cmd: number, arg: Uint8Array): Promise<number> {
    return this.#make("ioctl", fd, cmd, arg);
  }

  /** An ioctl whose argument is a plain number or an address. */
  ioctlArg(fd: number, cmd: number, arg: number | bigint): Promise<number> {
    return this.#make("ioctlarg", fd, cmd, arg);
  }

  /** Maps memory; returns its address. `fd` -1 for anonymous memory. */
  mmap(
    addr: number,
    length: number,
    prot: number,
    flags: number,
    fd = -1,
    offset = 0,
  ): Promise<number> {
    return this.#make("mmap", addr, length, prot, flags, fd, offset);
  }

  /** Unmaps memory. */
  munmap(addr: number, length: number): Promise<number> {
    return this.#make("munmap", addr, length);
  }

  /** Changes the length or, with `MREMAP_*`, the place of a mapping; returns its address. */
  mremap(
    addr: number,
    oldLength: number,
    length: number,
    flags: number,
    newAddr = 0,
  ): Promise<number> {
    return this.#make("mremap", addr, oldLength, length, flags, newAddr);
  }

  /** Changes the protection of memory. */
  mprotect(addr: number, length: number, prot: number): Promise<number> {
    return this.#make("mprotect", addr, length, prot);
  }

  /** Gives advice about memory. */
  madvise(addr: number, length: number, advice: number): Promise<number> {
    return this.#make("madvise", addr, length, advice);
  }

  /** Reads up to `into.length` bytes from a descriptor. */
  read(fd: number, into: Uint8Array): Promise<number> {
    return this.#make("read", fd, into);
  }

  /** Writes bytes to a descriptor. */
  write(fd: number, bytes: Uint8Array): Promise<number> {
    return this.#make("write", fd, bytes);
  }

  /** Reads up to `into.length` bytes from byte `offset` of a file on. */
  pread(fd: number, into: Uint8Array, offset: number): Promise<number> {
    return this.#make("pread", fd, into, offset);
  }

  /** Writes bytes from byte `offset` of a file on. */
  pwrite(fd: number, bytes: Uint8Array, offset: number): Promise<number> {
    return this.#make("pwrite", fd, bytes, offset);
  }

  /** Moves the position of a file, `SEEK_*`; returns it. */
  lseek(fd: number, offset: number, whence: number): Promise<number> {
    return this.#make("lseek", fd, offset, whence);
  }

  /** The `POLL*` conditions out of `events` that hold now, without waiting. */
  poll(fd: number, events: number): Promise<number> {
    return this.#make("poll", fd, events);
  }

  /** `length` bytes of the process's own memory. Rejects with {@link MemoryFault}. */
  async peek(addr: number, length: number): Promise<Uint8Array> {
    const into = new Uint8Array(length);
    await this.#make("peek", addr, into);
    return into;
  }

  /** Writes to the process's own memory. Rejects with {@link MemoryFault}. */
  async poke(addr: number, bytes: Uint8Array): Promise<void> {
    await this.#make("poke", addr, bytes);
  }

  /** Makes a memory file; returns its descriptor. */
  memfdCreate(name: string, flags: number): Promise<number> {
    return this.#make("memfd", name, flags);
  }

  /** Sets the length of a file of memory. */
  ftruncate(fd: number, length: number): Promise<number> {
    return this.#make("ftruncate", fd, length);
  }

  /** Allocates a part of a memory file, or drops it: `mode` is `FALLOC_FL_*`. */
  fallocate(
    fd: number,
    mode: number,
    offset: number,
    length: number,
  ): Promise<number> {
    return this.#make("fallocate", fd, mode, offset, length);
  }

  /** Asks or changes something about a descriptor, `F_*`. */
  fcntl(fd: number, cmd: number, arg = 0): Promise<number> {
    return this.#make("fcntl", fd, cmd, arg);
  }

  /** Makes an eventfd with a first value; returns its descriptor. */
  eventfd(value: number, flags: number): Promise<number> {
    return this.#make("eventfd", value, flags);
  }

  /** Makes a pipe; returns 0 and the two descriptors, or a negative errno and none. */
  async pipe(): Promise<{ ret: number; readFd: number; writeFd: number }> {
    const fds = [-1, -1];
    const ret = await this.#make("pipe", fds);
    return { ret, readFd: fds[0]!, writeFd: fds[1]! };
  }

  /** Sets the soft limit of a resource (`RLIMIT_*`), the hard one left as it is. */
  setrlimit(resource: number, soft: bigint): Promise<number> {
    return this.#make("setrlimit", resource, soft);
  }

  /** Sets the real and effective user id. */
  setuid(uid: number): Promise<number> {
    return this.#make("setuid", uid);
  }

  /** Gives up a capability (`CAP_*`). */
  dropCapability(capability: number): Promise<number> {
    return this.#make("dropcap", capability);
  }

  /** Pages charged and pinned: `VmLck` and `VmPin` of /proc/self/status, in KiB. */
  async vmStatus(): Promise<{ vmLck: number; vmPin: number }> {
    const kib = [0, 0];
    await this.#make("vmstatus", kib);
    return { vmLck: kib[0]!, vmPin: kib[1]! };
  }

  /**
   * Makes the nth fallible kernel step of this process fail; 0 turns that off.
   * Returns a negative errno where fault injection is not there.
   */
  setFailNth(nth: number): Promise<number> {
    return this.#make("failnth", nth);
  }

  /** What is left of the count set by `setFailNth`: 0 when the failure was hit. */
  failNthLeft(): Promise<number> {
    return this.#make("failnthleft");
  }

  /** A child with a copy of memory and descriptors. */
  async fork(): Promise<TargetProcess> {
    return new TargetProcess(this.#caller, await this.#make("fork"));
  }

  /**
   * Runs a program anew: its memory is gone, and so are the descriptors that
   * are closed at exec. Fault injection is off afterwards.
   */
  exec(): Promise<number> {
    return this.#make("exec");
  }

  /** Ends the process. Idempotent. */
  exit(): Promise<void> {
    return this.#exited ??= this.#make("exit").then(() => {});
  }
}

/** What a call that touches memory which is not there rejects with. */
function memoryFault({ verb, args: [addr, bytes] }: Call): MemoryFault {
  const at = `0x${Number(addr).toString(16)}`;
  const { length } = bytes as Uint8Array;
  return new MemoryFault(
    `No memory to touch for a ${verb.name} of ${length} bytes at ${at}`,
  );
}
