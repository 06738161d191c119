// SPDX-License-Identifier: GPL-2.0-only

/**
 * Constants and layouts of the calls that host/ makes: those which Linux's
 * headers have, and where architectures differ, by architecture. Sizes and
 * places are in bytes.
 *
 * @module
 */

import type { Architecture } from "./machine_code.ts";

/** Of openat: relative to the working folder. */
export const AT_FDCWD = -100;
/** Of statx and readlinkat: what the descriptor itself is. */
export const AT_EMPTY_PATH = 0x1000;
/** Do not follow a link at the end. */
export const AT_SYMLINK_NOFOLLOW = 0x100;

/** Flags of open that are the same everywhere. */
export const O_PATH = 0o10000000;
/** Close on exec. */
export const O_CLOEXEC = 0o2000000;
/** Do not wait. */
export const O_NONBLOCK = 0o4000;

/** struct statx: what is used of it. */
export const STATX = {
  size: 256,
  mask: 0,
  nlink: 16,
  uid: 20,
  gid: 24,
  mode: 28,
  ino: 32,
  bytes: 40,
  rdevMajor: 128,
  rdevMinor: 132,
  devMajor: 136,
  devMinor: 140,
} as const;
/** statx: everything of struct stat. */
export const STATX_BASIC_STATS = 0x7ff;

/** struct seccomp_notif, struct seccomp_data within it included. */
export const NOTIF = {
  size: 80,
  id: 0,
  pid: 8,
  flags: 12,
  nr: 16,
  arch: 20,
  instructionPointer: 24,
  args: 32,
} as const;

/** struct seccomp_notif_resp. */
export const NOTIF_RESP = {
  size: 24,
  id: 0,
  val: 8,
  error: 16,
  flags: 20,
} as const;
/** The kernel makes the call itself. */
export const SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1;

/** struct seccomp_notif_addfd. */
export const NOTIF_ADDFD = {
  size: 24,
  id: 0,
  flags: 8,
  srcfd: 12,
  newfd: 16,
  newfdFlags: 20,
} as const;
/** addfd: answer the call with the descriptor's number as well. */
export const SECCOMP_ADDFD_FLAG_SEND = 2;

/** ioctls of a listener. */
export const SECCOMP_IOCTL_NOTIF_RECV = 0xc0502100;
/** Answers. */
export const SECCOMP_IOCTL_NOTIF_SEND = 0xc0182101;
/** Whether a call still waits. */
export const SECCOMP_IOCTL_NOTIF_ID_VALID = 0x40082102;
/** Puts a descriptor into the caller. */
export const SECCOMP_IOCTL_NOTIF_ADDFD = 0x40182103;
/** Sets how it wakes (6.6). */
export const SECCOMP_IOCTL_NOTIF_SET_FLAGS = 0x40082104;
/** Wake the other side on the same processor. */
export const SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP = 1;

/** seccomp: install a filter. */
export const SECCOMP_SET_MODE_FILTER = 1;
/** seccomp: ask for an action. */
export const SECCOMP_GET_ACTION_AVAIL = 2;
/** seccomp: ask for the sizes of structs. */
export const SECCOMP_GET_NOTIF_SIZES = 3;
/** Returns a listener. */
export const SECCOMP_FILTER_FLAG_NEW_LISTENER = 1 << 3;
/** Once received, only a fatal signal interrupts a call. */
export const SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 1 << 5;
/** Filter results. */
export const SECCOMP_RET_ALLOW = 0x7fff0000;
/** Ask the listener. */
export const SECCOMP_RET_USER_NOTIF = 0x7fc00000;
/** Fail with the errno in the lower 16 bits. */
export const SECCOMP_RET_ERRNO = 0x00050000;

/** AUDIT_ARCH_* as a filter sees it. */
export const AUDIT_ARCH: Readonly<Record<Architecture, number>> = {
  x86_64: 0xc000003e,
  aarch64: 0xc00000b7,
};

/** prctl. */
export const PR_SET_PDEATHSIG = 1;
/** prctl: orphans below become children of this process. */
export const PR_SET_CHILD_SUBREAPER = 36;
/** prctl: no program gains privileges by exec. */
export const PR_SET_NO_NEW_PRIVS = 38;

/** struct epoll_event: packed on x86-64 alone. */
export const EPOLL_EVENT: Readonly<
  Record<Architecture, { readonly size: number; readonly data: number }>
> = {
  x86_64: { size: 12, data: 4 },
  aarch64: { size: 16, data: 8 },
};
/** epoll_ctl. */
export const EPOLL_CTL_ADD = 1;
/** epoll_ctl: no longer. */
export const EPOLL_CTL_DEL = 2;
/** There is something to read. */
export const EPOLLIN = 1;
/** Each time anew that something comes. */
export const EPOLLET = 2 ** 31;

/** kcmp: the same memory. */
export const KCMP_VM = 1;
/** kcmp: whether a descriptor is of what an epoll has. */
export const KCMP_EPOLL_TFD = 7;

/** clone. */
export const CLONE_VM = 0x100;
/** clone: store the child's number. */
export const CLONE_PARENT_SETTID = 0x100000;
/** clone. */
export const CLONE_FILES = 0x400;
/** close_range: in a table of one's own. */
export const CLOSE_RANGE_UNSHARE = 2;

/** Signals. */
export const SIGKILL = 9;
/** A write without a reader. */
export const SIGPIPE = 13;
/** A child changed. */
export const SIGCHLD = 17;

/** Flags of open that differ. */
export const OPEN_FLAGS: Readonly<
  Record<
    Architecture,
    { readonly O_DIRECTORY: number; readonly O_NOFOLLOW: number }
  >
> = {
  x86_64: { O_DIRECTORY: 0o200000, O_NOFOLLOW: 0o400000 },
  aarch64: { O_DIRECTORY: 0o40000, O_NOFOLLOW: 0o100000 },
};
