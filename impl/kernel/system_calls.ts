// SPDX-License-Identifier: GPL-2.0-only

/**
 * The system calls on descriptors, which are the same for every kind of task.
 *
 * @module
 */

import {
  EBADF,
  EINVAL,
  EOPNOTSUPP,
  EPERM,
  ESPIPE,
  ESRCH,
} from "../uapi/errno.ts";
import {
  F_ADD_SEALS,
  F_GET_SEALS,
  F_GETFD,
  F_SEAL_EXEC,
  F_SETFD,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FD_CLOEXEC,
  O_ACCMODE,
  O_CLOEXEC,
  O_RDWR,
  PAGE_SIZE,
  POLLERR,
  POLLHUP,
  POLLNVAL,
  RLIMIT_NOFILE,
} from "../uapi/mman.ts";
import type { U64 } from "../uapi/layout/struct.ts";
import type { KernelCore } from "./core.ts";
import type { User } from "./credentials.ts";
import { FaultInjection } from "./fault_injection.ts";
import type { File } from "./files/file.ts";
import type { Descriptors } from "./interfaces/descriptors.ts";
import type { Mm } from "./interfaces/mm.ts";
import type { Task } from "./interfaces/task.ts";

/** Most bytes of one read or write (Linux: MAX_RW_COUNT). */
const MAX_RW_COUNT = 2 ** 31 - PAGE_SIZE;

/** The last place to count a position from (Linux: SEEK_HOLE). */
const SEEK_MAX = 4;

/** All seals, of which F_SEAL_EXEC is the last (Linux: F_ALL_SEALS). */
const F_ALL_SEALS = 2 * F_SEAL_EXEC - 1;

/**
 * A task that makes system calls. They return what Linux returns: a
 * non-negative number, or a negative errno; -ESRCH after it exited. They throw
 * only for defects of the model.
 */
export abstract class SystemCalls implements Task {
  /** The kernel it runs on. */
  readonly kernel: KernelCore;
  /** Process id. */
  readonly pid: number;
  /** Its descriptors. */
  readonly files: Descriptors;
  /** Which of its fallible kernel steps fails (Linux: task_struct.fail_nth). */
  faults: FaultInjection = new FaultInjection();
  #exited = false;

  /** A task that the kernel does not know yet: see `KernelCore.addTask`. */
  constructor(kernel: KernelCore, pid: number, files: Descriptors) {
    this.kernel = kernel;
    this.pid = pid;
    this.files = files;
  }

  /** Its memory. */
  abstract readonly mm: Mm;

  /** The user that it is charged to. */
  abstract get user(): User;

  /** True if it has a capability, `CAP_*`. */
  abstract capable(capability: number): boolean;

  /** The soft limit of a resource, `RLIMIT_*`. Throws EINVAL for what is none. */
  abstract rlimit(resource: number): bigint;

  /** True after {@link exit}. */
  get exited(): boolean {
    return this.#exited;
  }

  /** Opens a path that the kernel knows, `O_*`. ENOENT, EMFILE, EINVAL, ENOMEM, and what the file answers. */
  open(path: string, flags: number = O_RDWR): number {
    return this.openWith(
      flags,
      () => this.kernel.openPath(path, this, flags),
    );
  }

  /**
   * Opens what `find` opens, who was told the path by others than the kernel:
   * the steps of {@link open}, and its errnos. The reference of the file is
   * taken over.
   */
  openWith(flags: number, find: () => File): number {
    return this.syscall(() => {
      const access = flags & O_ACCMODE;
      if (!Number.isInteger(flags) || access > O_RDWR) throw EINVAL;
      this.kernel.step("open.name");
      this.kernel.step("open.copy");
      this.files.checkFree(this.rlimit(RLIMIT_NOFILE));
      // Its dentry is the path's.
      this.kernel.step("file.alloc");
      return this.install(find(), (flags & O_CLOEXEC) !== 0);
    });
  }

  /** Takes a path of /dev/shm away. ENOENT, EISDIR, EPERM. */
  unlink(path: string): number {
    return this.syscall(() => this.kernel.tmpfs.unlink(path, this));
  }

  /** Closes a descriptor. EBADF. */
  close(fd: number): number {
    return this.syscall(() => this.files.close(fd));
  }

  /** Duplicates a descriptor to the lowest free one. EBADF, EMFILE. */
  dup(fd: number): number {
    return this.syscall(() => this.install(this.files.lookup(fd).get()));
  }

  /**
   * Gives `to` a descriptor of what `fd` is open to, the lowest free one, and
   * returns it. EBADF, EMFILE, ESRCH. (Linux: a message with SCM_RIGHTS.)
   */
  passFd(fd: number, to: SystemCalls): number {
    return this.syscall(() => {
      const file = this.files.lookup(fd);
      if (to.exited) throw ESRCH;
      return to.install(file.get());
    });
  }

  /**
   * Asks or changes something about a descriptor: `F_GETFD`, `F_SETFD`,
   * `F_GET_SEALS`, `F_ADD_SEALS`. EBADF, EINVAL, EPERM, EBUSY.
   */
  fcntl(fd: number, cmd: number, arg: number): number {
    return this.syscall(() => {
      const file = this.files.lookup(fd);
      switch (cmd) {
        case F_GETFD:
          return this.files.closesOnExec(fd) ? FD_CLOEXEC : 0;
        case F_SETFD:
          return this.files.setCloseOnExec(fd, (arg & FD_CLOEXEC) !== 0);
        case F_GET_SEALS:
          return file.seals;
        case F_ADD_SEALS:
          return addSeals(file, arg);
        default:
          throw EINVAL;
      }
    });
  }

  /** Sets the length of a file. EBADF, EINVAL, EPERM. */
  ftruncate(fd: number, length: U64): number {
    return this.syscall(() => {
      const bytes = Number(length);
      if (!Number.isSafeInteger(bytes) || bytes < 0) throw EINVAL;
      const file = this.files.lookup(fd);
      if (!file.isWritable) throw EINVAL;
      file.truncate(bytes);
    });
  }

  /**
   * Allocates a part of a file, or punches a hole: `mode` is `FALLOC_FL_*`.
   * EBADF, EINVAL, EFBIG, ENODEV, ENOMEM, EOPNOTSUPP, EPERM. (Linux:
   * vfs_fallocate.)
   */
  fallocate(fd: number, mode: number, offset: number, length: number): number {
    return this.syscall(() => {
      const file = this.files.lookup(fd);
      if (!(offset >= 0 && length > 0)) throw EINVAL;
      const known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
      // To punch a hole never changes the length, and that must be said.
      if ((mode & ~known) !== 0 || mode === FALLOC_FL_PUNCH_HOLE) {
        throw EOPNOTSUPP;
      }
      if (!file.isWritable) throw EBADF;
      file.fallocate(mode, offset, length);
    });
  }

  /** Moves the position of a file, `SEEK_*`; returns it. EBADF, EINVAL, ESPIPE. */
  lseek(fd: number, offset: number, whence: number): number {
    return this.syscall(() => {
      const file = this.files.lookup(fd);
      if (!Number.isSafeInteger(offset) || whence > SEEK_MAX) throw EINVAL;
      return file.seek(offset, whence);
    });
  }

  /** An ioctl; `arg` is an address or a plain number. EBADF, ENOTTY, and what the file answers. */
  ioctl(fd: number, cmd: number, arg: U64 = 0): number {
    return this.syscall(() => this.callIoctl(fd, cmd, arg));
  }

  /**
   * Reads up to `count` bytes to memory: with a byte offset of the file, from
   * there on (Linux: pread64). EBADF, EINVAL, EFAULT, EAGAIN where Linux would
   * wait, ESPIPE for an offset in a file without offsets.
   */
  readTo(fd: number, address: number, count: number, offset?: number): number {
    return this.syscall(() =>
      this.#fileFor(fd, "isReadable", offset)
        .read(this, address, checkCount(count), offset)
    );
  }

  /** Writes `count` bytes from memory, where {@link readTo} reads. Errors as there, and EPIPE. (Linux: pwrite64.) */
  writeFrom(
    fd: number,
    address: number,
    count: number,
    offset?: number,
  ): number {
    return this.syscall(() =>
      this.#fileFor(fd, "isWritable", offset)
        .write(this, address, checkCount(count), offset)
    );
  }

  /** The `POLL*` conditions out of `events` that hold now; errors and POLLNVAL always. */
  poll(fd: number, events: number): number {
    return this.syscall(() => {
      // It asks about more descriptors than there may be.
      if (this.rlimit(RLIMIT_NOFILE) < 1n) throw EINVAL;
      if (fd < 0) return 0;
      const file = this.files.get(fd);
      if (file === undefined) return POLLNVAL;
      return file.poll() & (events | POLLERR | POLLHUP);
    });
  }

  /** VmLck and VmPin of /proc/self/status, in KiB. */
  vmStatus(): { vmLck: number; vmPin: number } {
    const kib = PAGE_SIZE / 1024;
    return { vmLck: this.mm.lockedVm * kib, vmPin: this.mm.pinnedVm * kib };
  }

  /** Makes the nth fallible kernel step from now on fail; 0 turns that off. EINVAL. */
  setFailNth(nth: number): number {
    return this.syscall(() => {
      if (!Number.isSafeInteger(nth) || nth < 0) throw EINVAL;
      this.faults.nth = nth;
    });
  }

  /** What is left of the count: 0 when the failure was hit, or is off. */
  failNthLeft(): number {
    return this.syscall(() => this.faults.nth);
  }

  /** Ends the task: memory first, then descriptors, as do_exit of Linux. Idempotent. */
  exit(): void {
    if (this.#exited) return;
    const previous = this.kernel.current;
    this.kernel.current = this;
    try {
      this.releaseMemory();
      this.files.closeAll();
    } finally {
      this.#exited = true;
      this.kernel.removeTask(this);
      this.kernel.current = previous;
    }
  }

  /** Lets go of the memory: nothing of it can be pinned any more. */
  protected abstract releaseMemory(): void;

  /** The boundary: runs `body` as this task; nothing returned is 0, an errno thrown a negative number. */
  protected syscall(body: () => number | void): number {
    if (this.#exited) return -ESRCH.code;
    const { kernel } = this;
    const previous = kernel.current;
    kernel.current = this;
    kernel.callDepth++;
    try {
      return resultOf(this.kernel, body);
    } finally {
      kernel.callDepth--;
      kernel.current = previous;
    }
  }

  /** An ioctl within a system call; an errno of the file is a number already. Throws EBADF. */
  protected callIoctl(fd: number, cmd: number, arg: number | bigint): number {
    const file = this.files.lookup(fd).get();
    try {
      return resultOf(this.kernel, () => file.ioctl(this, cmd >>> 0, arg));
    } finally {
      file.put();
    }
  }

  /** Gives `file` a descriptor, which exec closes or not; drops the file when there is none. */
  protected install(file: File, closeOnExec = false): number {
    try {
      const limit = this.rlimit(RLIMIT_NOFILE);
      return this.files.install(file, limit, closeOnExec);
    } catch (error) {
      file.put();
      throw error;
    }
  }

  /**
   * The file of a descriptor, if it was opened with the access that can do it,
   * and if `offset` can be one in it. Throws EINVAL, EBADF, ESPIPE.
   */
  #fileFor(
    fd: number,
    fit: "isReadable" | "isWritable",
    offset?: number,
  ): File {
    const isAt = offset !== undefined;
    if (isAt && (!Number.isSafeInteger(offset) || offset < 0)) throw EINVAL;
    const file = this.files.lookup(fd);
    if (isAt && !file.hasOffsets) throw ESPIPE;
    if (!file[fit]) throw EBADF;
    return file;
  }
}

/** Linux: memfd_add_seals, as far as it needs no inode. Throws EPERM, EINVAL, EBUSY. */
function addSeals(file: File, seals: number): void {
  if (!file.isWritable) {
    throw EPERM.because("the file is not open for writing");
  }
  if ((seals & ~F_ALL_SEALS) !== 0) throw EINVAL;
  file.addSeals(seals);
}

/** Throws EINVAL unless it is a length; the largest possible one is cut to what one call moves. */
function checkCount(count: number): number {
  if (!Number.isInteger(count) || count < 0) throw EINVAL;
  return Math.min(count, MAX_RW_COUNT);
}

/**
 * What `body` returns, or the negative number of the errno that it throws. An
 * errno should meet this soon: each frame on its way costs, and each `finally`
 * costs more than the rest of a call that fails at once.
 */
function resultOf(kernel: KernelCore, body: () => number | void): number {
  try {
    return body() ?? 0;
  } catch (error) {
    return kernel.resultOfError(error);
  }
}
