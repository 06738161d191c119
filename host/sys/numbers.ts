// SPDX-License-Identifier: GPL-2.0-only

/**
 * The numbers of system calls, by architecture.
 *
 * @module
 */

import type { Architecture } from "./machine_code.ts";

/**
 * Each call with its number on x86-64 and on aarch64; -1 where there is no such
 * call, because a newer one does the same.
 */
const TABLE = {
  read: [0, 63],
  write: [1, 64],
  open: [2, -1],
  close: [3, 57],
  stat: [4, -1],
  fstat: [5, 80],
  lstat: [6, -1],
  poll: [7, -1],
  lseek: [8, 62],
  mmap: [9, 222],
  mprotect: [10, 226],
  munmap: [11, 215],
  brk: [12, 214],
  rt_sigaction: [13, 134],
  rt_sigprocmask: [14, 135],
  ioctl: [16, 29],
  pread64: [17, 67],
  pwrite64: [18, 68],
  readv: [19, 65],
  writev: [20, 66],
  access: [21, -1],
  pipe: [22, -1],
  sched_yield: [24, 124],
  mremap: [25, 216],
  madvise: [28, 233],
  dup: [32, 23],
  dup2: [33, -1],
  nanosleep: [35, 101],
  getpid: [39, 172],
  sendto: [44, 206],
  recvfrom: [45, 207],
  sendmsg: [46, 211],
  recvmsg: [47, 212],
  socketpair: [53, 199],
  setsockopt: [54, 208],
  clone: [56, 220],
  fork: [57, -1],
  vfork: [58, -1],
  execve: [59, 221],
  exit: [60, 93],
  wait4: [61, 260],
  kill: [62, 129],
  fcntl: [72, 25],
  ftruncate: [77, 46],
  truncate: [76, 45],
  getdents: [78, -1],
  getcwd: [79, 17],
  chdir: [80, 49],
  rename: [82, -1],
  mkdir: [83, -1],
  rmdir: [84, -1],
  unlink: [87, -1],
  readlink: [89, -1],
  getrlimit: [97, 163],
  ptrace: [101, 117],
  fstatfs: [138, 44],
  setrlimit: [160, 164],
  getuid: [102, 174],
  setuid: [105, 146],
  setpgid: [109, 154],
  setreuid: [113, 145],
  getppid: [110, 173],
  shmdt: [67, 197],
  setsid: [112, 157],
  setresuid: [117, 147],
  prctl: [157, 167],
  capget: [125, 90],
  capset: [126, 91],
  gettid: [186, 178],
  getxattr: [191, 8],
  lgetxattr: [192, 9],
  listxattr: [194, 11],
  llistxattr: [195, 12],
  futex: [202, 98],
  getdents64: [217, 61],
  epoll_wait: [232, -1],
  epoll_ctl: [233, 21],
  tkill: [200, 130],
  tgkill: [234, 131],
  waitid: [247, 95],
  inotify_add_watch: [254, 27],
  openat: [257, 56],
  mkdirat: [258, 34],
  newfstatat: [262, 79],
  unlinkat: [263, 35],
  readlinkat: [267, 78],
  faccessat: [269, 48],
  ppoll: [271, 73],
  unshare: [272, 97],
  epoll_pwait: [281, 22],
  fallocate: [285, 47],
  signalfd4: [289, 74],
  eventfd2: [290, 19],
  epoll_create1: [291, 20],
  dup3: [292, 24],
  pipe2: [293, 59],
  inotify_init1: [294, 26],
  preadv: [295, 69],
  pwritev: [296, 70],
  prlimit64: [302, 261],
  setns: [308, 268],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  kcmp: [312, 272],
  seccomp: [317, 277],
  memfd_create: [319, 279],
  execveat: [322, 281],
  preadv2: [327, 286],
  pwritev2: [328, 287],
  statx: [332, 291],
  pidfd_send_signal: [424, 424],
  io_uring_setup: [425, 425],
  clone3: [435, 435],
  close_range: [436, 436],
  openat2: [437, 437],
  userfaultfd: [323, 282],
  pidfd_getfd: [438, 438],
  faccessat2: [439, 439],
  process_madvise: [440, 440],
  epoll_pwait2: [441, 441],
  pidfd_open: [434, 434],
  exit_group: [231, 94],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

/** The name of a system call. */
export type SyscallName = keyof typeof TABLE;

/** Numbers by name; -1 where the architecture has no such call. */
export type Numbers = Readonly<Record<SyscallName, number>>;

/** The numbers of an architecture. */
export function numbersOf(architecture: Architecture): Numbers {
  const column = architecture === "x86_64" ? 0 : 1;
  const entries = Object.entries(TABLE)
    .map(([name, numbers]) => [name, numbers[column]]);
  return Object.fromEntries(entries);
}
