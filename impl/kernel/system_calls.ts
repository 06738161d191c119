// SPDX-License-Identifier: GPL-2.0-only

/**
 * The system calls on descriptors, which are the same for every kind of task.
 *
 * @module
 */

import { EBADF, EINVAL, ESPIPE, ESRCH } from "../uapi/errno.ts";
import {
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  PAGE_SIZE,
  POLLERR,
  POLLHUP,
  POLLNVAL,
  RLIMIT_NOFILE,
} from "../uapi/mman.ts";
import type { KernelCore } from "./core.ts";
import type { User } from "./credentials.ts";
import { FaultInjection } from "./fault_injection.ts";
import type { FdTable } from "./files/fd_table.ts";
import type { File } from "./files/file.ts";
import type { Mm } from "./interfaces/mm.ts";
import type { Task } from "./interfaces/task.ts";

/** Most bytes of one read or write (Linux: MAX_RW_COUNT). */
const MAX_RW_COUNT = 2 ** 31 - PAGE_SIZE;

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
  readonly files: FdTable;
  /** Which of its fallible kernel steps fails (Linux: task_struct.fail_nth). */
  readonly faults: FaultInjection = new FaultInjection();
  #exited = false;

  /** A task that the kernel does not know yet: see `KernelCore.addTask`. */
  constructor(kernel: KernelCore, pid: number, files: FdTable) {
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

  /** Opens a path that the kernel knows. ENOENT, EMFILE, EINVAL, ENOMEM. */
  open(path: string, flags: number = O_RDWR): number {
    return this.syscall(() => {
      const access = flags & (O_WRONLY | O_RDWR);
      if (!Number.isInteger(flags) || access > O_RDWR) throw EINVAL;
      this.kernel.step("open.name");
      this.kernel.step("open.copy");
      this.files.nextFree(this.rlimit(RLIMIT_NOFILE));
      // Its dentry is the path's.
      this.kernel.step("file.alloc");
      return this.install(this.kernel.openPath(path, this, access));
    });
  }

  /** Closes a descriptor. EBADF. */
  close(fd: number): number {
    return this.syscall(() => {
      this.files.close(fd);
      return 0;
    });
  }

  /** Duplicates a descriptor to the lowest free one. EBADF, EMFILE. */
  dup(fd: number): number {
    return this.syscall(() => this.install(this.files.lookup(fd).get()));
  }

  /** An ioctl; `arg` is an address or a plain number. EBADF, ENOTTY, and what the file answers. */
  ioctl(fd: number, cmd: number, arg: number | bigint = 0): number {
    return this.syscall(() => this.callIoctl(fd, cmd, arg));
  }

  /** Reads up to `count` bytes to memory. EBADF, EINVAL, EFAULT, EAGAIN where Linux would wait. */
  readTo(fd: number, address: number, count: number): number {
    return this.syscall(() =>
      this.#readable(this.files.lookup(fd))
        .read(this, address, checkCount(count))
    );
  }

  /** Writes `count` bytes from memory. EBADF, EINVAL, EPIPE, EFAULT, EAGAIN where Linux would wait. */
  writeFrom(fd: number, address: number, count: number): number {
    return this.syscall(() =>
      this.#writable(this.files.lookup(fd))
        .write(this, address, checkCount(count))
    );
  }

  /** As {@link readTo}, from a byte offset of the file (Linux: pread64). ESPIPE for a file without offsets. */
  preadTo(fd: number, address: number, count: number, offset: number): number {
    return this.syscall(() =>
      this.#readable(this.#positioned(fd, offset))
        .pread(this, address, checkCount(count), offset)
    );
  }

  /** As {@link writeFrom}, at a byte offset of the file (Linux: pwrite64). ESPIPE for a file without offsets. */
  pwriteFrom(
    fd: number,
    address: number,
    count: number,
    offset: number,
  ): number {
    return this.syscall(() =>
      this.#writable(this.#positioned(fd, offset))
        .pwrite(this, address, checkCount(count), offset)
    );
  }

  /** The `POLL*` conditions out of `events` that hold now; errors and POLLNVAL always. */
  poll(fd: number, events: number): number {
    return this.syscall(() => {
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
      return 0;
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

  /** The boundary: runs `body` as this task and turns an errno into a negative number. */
  protected syscall(body: () => number): number {
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

  /** Gives `file` a descriptor; drops it when there is none. */
  protected install(file: File): number {
    try {
      return this.files.install(file, this.rlimit(RLIMIT_NOFILE));
    } catch (error) {
      file.put();
      throw error;
    }
  }

  #readable(file: File): File {
    if (file.access === O_WRONLY) throw EBADF;
    return file;
  }

  #writable(file: File): File {
    if (file.access === O_RDONLY) throw EBADF;
    return file;
  }

  /** The file of a descriptor, if `offset` can be an offset in it. Throws EINVAL, EBADF, ESPIPE. */
  #positioned(fd: number, offset: number): File {
    if (!Number.isSafeInteger(offset) || offset < 0) throw EINVAL;
    const file = this.files.lookup(fd);
    if (!file.hasOffsets) throw ESPIPE;
    return file;
  }
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
function resultOf(kernel: KernelCore, body: () => number): number {
  try {
    return body();
  } catch (error) {
    return kernel.resultOfError(error);
  }
}
