// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the model does for each verb.
 *
 * @module
 */

import {
  BusError,
  SegmentationFault,
} from "../../impl/kernel/interfaces/process_memory.ts";
import type { Process } from "../../impl/kernel/simulated/process.ts";
import { EFAULT } from "../../impl/uapi/errno.ts";
import { TargetFailure } from "./target_failure.ts";
import type { Argument, ArgumentsOf, VerbName } from "./verbs.ts";

/** How the model makes a call. */
export type Implementation = (process: Process, ...args: never[]) => number;

/** How the model makes calls, by the names of their verbs. */
export type ImplCalls = Readonly<Record<string, Implementation>>;

/** The table of verbs once more: what each does to a process of the model. */
export const IMPL_CALLS: {
  readonly [N in VerbName]: (
    process: Process,
    ...args: ArgumentsOf<N>
  ) => number;
} = {
  open: (p, path, flags) => p.open(path, flags),
  close: (p, fd) => p.close(fd),
  dup: (p, fd) => p.dup(fd),
  dup2: (p, fd, newFd) => p.dup2(fd, newFd),
  dup3: (p, fd, newFd, flags) => p.dup3(fd, newFd, flags),
  unlink: (p, path) => p.unlink(path),
  passfd: (p, fd, to) => p.passFd(fd, processOf(p.kernel, to)),
  ioctl: (p, fd, cmd, arg) => p.ioctlStruct(fd, cmd, arg),
  ioctlarg: (p, fd, cmd, arg) => p.ioctl(fd, cmd, arg),
  mmap: (p, addr, length, prot, flags, fd, offset) =>
    p.mmap(addr, length, prot, flags, fd, offset),
  munmap: (p, addr, length) => p.munmap(addr, length),
  mremap: (p, addr, oldLength, length, flags, newAddr) =>
    p.mremap(addr, oldLength, length, flags, newAddr),
  mprotect: (p, addr, length, prot) => p.mprotect(addr, length, prot),
  madvise: (p, addr, length, advice) => p.madvise(addr, length, advice),
  read: (p, fd, into) => p.read(fd, into),
  write: (p, fd, bytes) => p.write(fd, bytes),
  pread: (p, fd, into, offset) => p.read(fd, into, offset),
  pwrite: (p, fd, bytes, offset) => p.write(fd, bytes, offset),
  lseek: (p, fd, offset, whence) => p.lseek(fd, offset, whence),
  poll: (p, fd, events) => p.poll(fd, events),
  peek: (p, addr, into) => touch(() => p.peekInto(addr, into)),
  poke: (p, addr, bytes) => touch(() => p.poke(addr, bytes)),
  memfd: (p, name, flags) => p.memfdCreate(name, flags),
  ftruncate: (p, fd, length) => p.ftruncate(fd, length),
  fallocate: (p, fd, mode, offset, length) =>
    p.fallocate(fd, mode, offset, length),
  fcntl: (p, fd, cmd, arg) => p.fcntl(fd, cmd, arg),
  eventfd: (p, value, flags) => p.eventfd(value, flags),
  pipe: (p, fds) => {
    const { ret, readFd, writeFd } = p.pipe();
    fds.splice(0, 2, readFd, writeFd);
    return ret;
  },
  setrlimit: (p, resource, soft) => p.setrlimit(resource, soft),
  setuid: (p, uid) => p.setuid(uid),
  dropcap: (p, capability) => p.dropCapability(capability),
  vmstatus: (p, kib) => {
    const { vmLck, vmPin } = p.vmStatus();
    kib.splice(0, 2, vmLck, vmPin);
    return 0;
  },
  failnth: (p, nth) => p.setFailNth(nth),
  failnthleft: (p) => p.failNthLeft(),
  fork: (p) => p.fork().pid,
  exec: (p) => p.exec(),
  exit: (p) => {
    p.exit();
    return 0;
  },
};

/** The process of a number. Throws {@link TargetFailure} where there is none. */
export function processOf(
  { processes }: { readonly processes: Iterable<Process> },
  number: number,
): Process {
  for (const process of processes) {
    if (process.pid === number) return process;
  }
  throw new TargetFailure("error", `there is no process ${number}`);
}

/** Does something with a process's memory: 0, or -EFAULT for memory that it does not have. */
function touch(memory: () => void): number {
  try {
    memory();
    return 0;
  } catch (error) {
    const fault = error instanceof SegmentationFault ||
      error instanceof BusError;
    if (!fault) throw error;
    return -EFAULT.code;
  }
}

/** The arguments of a call, of which there are six at most, as in Linux. */
type Six = readonly [never, never, never, never, never, never];

/** Makes a call of the model. To spread the arguments would take as long as a short call. */
export function invoke(
  how: Implementation,
  process: Process,
  args: readonly Argument[],
): number {
  const six = args as unknown as Six;
  return how(process, six[0], six[1], six[2], six[3], six[4], six[5]);
}
