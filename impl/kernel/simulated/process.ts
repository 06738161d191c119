// SPDX-License-Identifier: GPL-2.0-only

/**
 * Processes and their system calls.
 *
 * @module
 */

import { EBADF, EINVAL, ENODEV, errnoName } from "../../uapi/errno.ts";
import {
  CAP_SYS_RESOURCE,
  F_SEAL_EXEC,
  F_SEAL_SEAL,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  MFD_EXEC,
  MFD_HUGETLB,
  MFD_NOEXEC_SEAL,
  O_CLOEXEC,
  O_NONBLOCK,
  PAGE_SIZE,
  RLIMIT_NOFILE,
} from "../../uapi/mman.ts";
import type { U64 } from "../../uapi/layout/struct.ts";
import type { ProcessMemory } from "../interfaces/process_memory.ts";
import type { KernelCore } from "../core.ts";
import type { Credentials, ResourceLimits, User } from "../credentials.ts";
import { EFD_SEMAPHORE, EventFd } from "../files/eventfd.ts";
import type { FdTable } from "../files/fd_table.ts";
import { MemoryFile } from "../files/memory_file.ts";
import { MemoryInode } from "../files/memory_inode.ts";
import { createPipe } from "../files/pipe.ts";
import { SystemCalls } from "../system_calls.ts";
import { HUGE_MASK, HUGE_SHIFT, hugePageSize } from "./huge_pages.ts";
import { Scratch, SCRATCH_MAX } from "./scratch.ts";

/** Longest name of a memfd (Linux: MFD_NAME_MAX_LEN). */
const MFD_NAME_MAX = 249;

/** What a process is made of. Made by `KernelCore.spawn` and by fork. */
export interface ProcessParts {
  /** Memory. */
  readonly mm: ProcessMemory;
  /** Descriptors. */
  readonly files: FdTable;
  /** User id and capabilities. */
  readonly credentials: Credentials;
  /** Resource limits. */
  readonly limits: ResourceLimits;
}

/**
 * A process: a program of this language that makes system calls. Addresses and
 * lengths are numbers or bigints, whatever the program has.
 */
export class Process extends SystemCalls {
  /** Its descriptors. */
  declare readonly files: FdTable;
  /** Its memory, until {@link exec}. */
  mm: ProcessMemory;
  readonly #credentials: Credentials;
  readonly #limits: ResourceLimits;
  readonly #scratch: Scratch;

  /** For `KernelCore` only. */
  constructor(kernel: KernelCore, pid: number, parts: ProcessParts) {
    super(kernel, pid, parts.files);
    this.mm = parts.mm;
    this.#credentials = parts.credentials;
    this.#limits = parts.limits;
    this.#scratch = new Scratch(this);
  }

  /** The user that it is charged to. */
  get user(): User {
    return this.kernel.user(this.#credentials.uid);
  }

  /** True if it has a capability, `CAP_*` (Linux: capable). */
  capable(capability: number): boolean {
    return this.#credentials.has(capability);
  }

  /** The soft limit of a resource, `RLIMIT_*` (Linux: task_rlimit). Throws EINVAL for what is none. */
  rlimit(resource: number): bigint {
    return this.#limits.get(resource);
  }

  /**
   * An ioctl with a struct by value: it is placed so that the byte after it is
   * not mapped, and copied back after the call.
   */
  ioctlStruct(fd: number, cmd: number, bytes: Uint8Array): number {
    return this.syscall(() =>
      this.#scratch.lend(bytes, (address) => this.callIoctl(fd, cmd, address))
    );
  }

  /** Makes `newFd` a duplicate of a descriptor, which it may be itself; what it was before is closed. EBADF. */
  dup2(fd: number, newFd: number): number {
    if (newFd !== fd) return this.dup3(fd, newFd, 0);
    return this.syscall(() => {
      this.files.lookup(fd);
      return fd;
    });
  }

  /**
   * Makes `newFd` a duplicate of another descriptor, with `O_CLOEXEC` or no
   * flags; what it was before is closed. EINVAL, EBADF.
   */
  dup3(fd: number, newFd: number, flags: number): number {
    return this.syscall(() => {
      if ((flags & ~O_CLOEXEC) !== 0) {
        throw EINVAL.because("O_CLOEXEC is the only flag");
      }
      if (newFd === fd) {
        throw EINVAL.because("a descriptor is no duplicate of its own");
      }
      const isOne = Number.isInteger(newFd) && newFd >= 0;
      if (!isOne || BigInt(newFd) >= this.rlimit(RLIMIT_NOFILE)) {
        throw EBADF.because("it is no descriptor that the process may have");
      }
      const file = this.files.lookup(fd).get();
      this.files.replace(newFd, file, flags !== 0);
      return newFd;
    });
  }

  /**
   * Maps memory; returns the address. EINVAL, EBADF, EACCES, EEXIST, ENODEV,
   * ENOMEM, EOPNOTSUPP, EOVERFLOW, EPERM as Linux.
   */
  mmap(
    addr: U64,
    length: U64,
    prot: number,
    flags: number,
    fd = -1,
    offset: U64 = 0,
  ): number {
    return this.syscall(() =>
      this.mm.mmap(this, {
        addr: Number(addr),
        length: Number(length),
        prot,
        flags,
        fd,
        offset: Number(offset),
      })
    );
  }

  /** Unmaps memory. EINVAL. */
  munmap(addr: U64, length: U64): number {
    return this.syscall(() => this.mm.munmap(Number(addr), Number(length)));
  }

  /** Changes the length or, with `MREMAP_*`, the place of a mapping; returns the place. EINVAL, EFAULT, ENOMEM. */
  mremap(
    addr: U64,
    oldLength: U64,
    length: U64,
    flags: number,
    newAddr: U64 = 0,
  ): number {
    return this.syscall(() =>
      this.mm.mremap(this, {
        addr: Number(addr),
        oldLength: Number(oldLength),
        length: Number(length),
        flags,
        newAddr: Number(newAddr),
      })
    );
  }

  /** Changes the protection of memory. EINVAL, EACCES, ENOMEM. */
  mprotect(addr: U64, length: U64, prot: number): number {
    return this.syscall(() =>
      this.mm.mprotect(Number(addr), Number(length), prot)
    );
  }

  /** Gives advice about memory, `MADV_*`. EINVAL, EACCES, EAGAIN, EFAULT, ENODEV, ENOMEM, EPERM. */
  madvise(addr: U64, length: U64, advice: number): number {
    return this.syscall(() =>
      this.mm.madvise(Number(addr), Number(length), advice)
    );
  }

  /** Reads up to `into.length` bytes, as {@link readTo} does. */
  read(fd: number, into: Uint8Array, offset?: number): number {
    return this.syscall(() =>
      this.#scratch.lend(
        into.subarray(0, SCRATCH_MAX),
        (address) => this.readTo(fd, address, into.length, offset),
      )
    );
  }

  /** Writes bytes, as {@link writeFrom} does. */
  write(fd: number, bytes: Uint8Array, offset?: number): number {
    return this.syscall(() =>
      this.#scratch.lend(
        bytes.slice(0, SCRATCH_MAX),
        (address) => this.writeFrom(fd, address, bytes.length, offset),
      )
    );
  }

  /** Makes a memory file, `MFD_*`. EINVAL, EMFILE, ENODEV, ENOMEM. */
  memfdCreate(name: string, flags: number): number {
    return this.syscall(() => {
      const huge = (flags & MFD_HUGETLB) !== 0;
      checkMemfdFlags(flags, huge);
      if (new TextEncoder().encode(name).length > MFD_NAME_MAX) throw EINVAL;
      this.kernel.step("memfd.name");
      this.kernel.step("memfd.copy");
      this.files.checkFree(this.rlimit(RLIMIT_NOFILE));
      this.kernel.step("memfd.inode");
      this.kernel.step("file.anonymous");
      const pageSize = huge ? hugePageSize(flags) : PAGE_SIZE;
      if (pageSize === undefined) throw ENODEV;
      const object = this.kernel.machine.createObject(pageSize);
      const inode = new MemoryInode(object, {
        seals: firstSeals(flags),
        executable: (flags & MFD_NOEXEC_SEAL) === 0,
      });
      const closes = (flags & MFD_CLOEXEC) !== 0;
      return this.install(new MemoryFile(inode), closes);
    });
  }

  /** Makes an eventfd that counts from `value`. EINVAL, EMFILE, ENOMEM. */
  eventfd(value: number, flags: number): number {
    return this.syscall(() => {
      if (value !== value >>> 0) throw EINVAL;
      checkFlags(flags, EFD_SEMAPHORE | O_NONBLOCK | O_CLOEXEC);
      this.kernel.step("eventfd.alloc");
      this.files.checkFree(this.rlimit(RLIMIT_NOFILE));
      this.kernel.step("file.anonymous");
      const file = new EventFd(value, (flags & EFD_SEMAPHORE) !== 0);
      return this.install(file, (flags & O_CLOEXEC) !== 0);
    });
  }

  /** Makes a pipe. `ret` is 0, or -EMFILE or -ENOMEM with the descriptors -1. */
  pipe(): { ret: number; readFd: number; writeFd: number } {
    let readFd = -1;
    let writeFd = -1;
    const ret = this.syscall(() => {
      this.#allocPipe();
      const [reader, writer] = createPipe();
      try {
        readFd = this.install(reader);
      } catch (error) {
        writer.put();
        throw error;
      }
      try {
        writeFd = this.install(writer);
      } catch (error) {
        this.files.close(readFd);
        readFd = -1;
        throw error;
      }
    });
    return { ret, readFd, writeFd };
  }

  /** Sets a soft resource limit, and raises the hard one to it if it is lower. EINVAL, EPERM. */
  setrlimit(resource: number, soft: U64): number {
    return this.syscall(() => {
      const mayRaise = this.capable(CAP_SYS_RESOURCE);
      this.#limits.set(resource, BigInt(soft), mayRaise);
    });
  }

  /** Sets the user id; root that becomes someone else loses all capabilities. EINVAL, EPERM. */
  setuid(uid: number): number {
    return this.syscall(() => this.#credentials.setuid(uid));
  }

  /** Gives up a capability. EINVAL for what is none. */
  dropCapability(capability: number): number {
    return this.syscall(() => this.#credentials.drop(capability));
  }

  /** `length` bytes of its memory. Throws SegmentationFault, BusError. */
  peek(address: U64, length: U64): Uint8Array {
    const bytes = new Uint8Array(Number(length));
    this.mm.peek(Number(address), bytes);
    return bytes;
  }

  /** As {@link peek}, into bytes of the caller. */
  peekInto(address: U64, into: Uint8Array): void {
    this.mm.peek(Number(address), into);
  }

  /** Writes to its memory. Throws SegmentationFault, BusError. */
  poke(address: U64, bytes: Uint8Array): void {
    this.mm.poke(Number(address), bytes);
  }

  /**
   * A child with a copy of memory, descriptors, credentials and limits. Throws
   * an Error, as there is no number to return, if the process has exited or
   * memory is short.
   */
  fork(): Process {
    let child: Process | undefined;
    const ret = this.syscall(() => {
      const mm = this.mm.fork();
      child = this.kernel.addProcess({
        mm,
        files: this.files.fork(),
        credentials: this.#credentials.fork(),
        limits: this.#limits.fork(),
      });
      return child.pid;
    });
    if (child === undefined) {
      throw new Error(`Cannot fork process ${this.pid}: ${errnoName(ret)}`);
    }
    return child;
  }

  /**
   * Runs another program, the same again: its memory is empty, what is open for
   * this program alone is closed, and root has all capabilities again. No step
   * is made to fail any more. (Linux: begin_new_exec.)
   */
  exec(): number {
    return this.syscall(() => {
      const { mm } = this;
      this.mm = this.kernel.createMm();
      mm.release();
      this.files.exec();
      this.#credentials.exec();
      this.faults.nth = 0;
    });
  }

  /** Drops its memory; pinned frames survive by their pins. */
  protected override releaseMemory(): void {
    this.mm.release();
  }

  /** The steps of making a pipe. Throws ENOMEM. (Linux: create_pipe_files.) */
  #allocPipe(): void {
    const { kernel } = this;
    kernel.step("pipe.alloc");
    // One end, and the file of the other end.
    kernel.step("file.anonymous");
    kernel.step("file.alloc");
  }
}

/** Throws EINVAL for flags outside `known`. */
function checkFlags(flags: number, known: number): void {
  if (!Number.isInteger(flags) || (flags & ~known) !== 0) throw EINVAL;
}

/** The seals of a new memfd: that there can be no others, unless the flags say so (Linux: alloc_file). */
function firstSeals(flags: number): number {
  if ((flags & MFD_NOEXEC_SEAL) !== 0) return F_SEAL_EXEC;
  return (flags & MFD_ALLOW_SEALING) === 0 ? F_SEAL_SEAL : 0;
}

/** Linux: memfd_create, hugetlb_file_setup. */
function checkMemfdFlags(flags: number, huge: boolean): void {
  const known = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB |
    MFD_NOEXEC_SEAL | MFD_EXEC;
  checkFlags(flags, known | (huge ? HUGE_MASK << HUGE_SHIFT : 0));
  const exclusive = MFD_NOEXEC_SEAL | MFD_EXEC;
  if ((flags & exclusive) === exclusive) throw EINVAL;
}
