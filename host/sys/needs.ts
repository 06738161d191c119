// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the host must have, asked by trying it.
 *
 * @module
 */

import {
  AT_FDCWD,
  KCMP_VM,
  NOTIF,
  NOTIF_RESP,
  SECCOMP_FILTER_FLAG_NEW_LISTENER,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
  SECCOMP_GET_ACTION_AVAIL,
  SECCOMP_GET_NOTIF_SIZES,
  SECCOMP_RET_USER_NOTIF,
  SECCOMP_SET_MODE_FILTER,
} from "./structs.ts";
import type { Sys } from "./sys.ts";

const EFAULT = 14;
const ENOSYS = 38;

/** What a container must be told where it forbids a call that this host has. */
const ALLOW =
  "a container can allow it with --cap-add=SYS_PTRACE or another seccomp profile";

/** One thing that the host must have. */
interface Need {
  /** What it is, as the beginning of a sentence. */
  readonly what: string;
  /** Tries it: an errno if it fails. */
  readonly attempt: (sys: Sys) => number;
  /** What to do where the host does not have it. */
  readonly cure: string;
}

const NEEDS: readonly Need[] = [
  {
    what: "/proc",
    attempt: (sys) => sys.close(sys.openat(AT_FDCWD, "/proc/self/fd", 0)),
    cure: "mount it",
  },
  {
    what: "seccomp's user notification",
    attempt: (sys) => {
      const action = sys.alloc(4);
      action.view.setUint32(0, SECCOMP_RET_USER_NOTIF, true);
      const { seccomp } = sys.nr;
      return sys.call(seccomp, SECCOMP_GET_ACTION_AVAIL, 0, action.address);
    },
    cure: "use Linux 5.19 or newer with CONFIG_SECCOMP_FILTER",
  },
  {
    what: "seccomp's flag WAIT_KILLABLE_RECV",
    attempt: (sys) => {
      const flags = SECCOMP_FILTER_FLAG_NEW_LISTENER |
        SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
      const { seccomp } = sys.nr;
      // Flags that are known let it come to the filter, which is not there.
      const result = sys.call(seccomp, SECCOMP_SET_MODE_FILTER, flags, 0);
      return result === -EFAULT ? 0 : result;
    },
    cure: "use Linux 5.19 or newer",
  },
  {
    what: "process_vm_readv",
    attempt: (sys) => sys.call(sys.nr.process_vm_readv, Deno.pid, 0, 0, 0, 0),
    cure: `use a Linux with CONFIG_CROSS_MEMORY_ATTACH; ${ALLOW}`,
  },
  {
    what: "pidfd_open",
    attempt: (sys) => withPidfd(sys, () => 0),
    cure: ALLOW,
  },
  {
    what: "pidfd_getfd",
    attempt: (sys) =>
      withPidfd(sys, (pidfd) => sys.close(sys.pidfdGetfd(pidfd, pidfd))),
    cure: ALLOW,
  },
  {
    what: "kcmp",
    attempt: (sys) => sys.call(sys.nr.kcmp, Deno.pid, Deno.pid, KCMP_VM, 0, 0),
    cure: `use a Linux with CONFIG_KCMP; ${ALLOW}`,
  },
  {
    what: "close_range",
    attempt: (sys) => sys.call(sys.nr.close_range, 0xfffffffe, 0xfffffffe, 0),
    cure: "use Linux 5.19 or newer",
  },
];

/** What the host lacks, a sentence each that says what to do; none if it has everything. */
export function missingNeeds(sys: Sys): string[] {
  const missing = NEEDS.flatMap(({ what, attempt, cure }) => {
    const result = attempt(sys);
    if (result >= 0) return [];
    const why = result === -ENOSYS
      ? "is not there"
      : `is refused with errno ${-result}`;
    return [`${what} ${why}: ${cure}.`];
  });
  return [...missing, ...sizeProblems(sys), ...yamaProblems(sys)];
}

function withPidfd(sys: Sys, attempt: (pidfd: number) => number): number {
  const pidfd = sys.pidfdOpen(Deno.pid);
  if (pidfd < 0) return pidfd;
  const result = attempt(pidfd);
  sys.close(pidfd);
  return result;
}

/** The kernel may have longer structs than those that are known here. */
function sizeProblems(sys: Sys): string[] {
  const sizes = sys.alloc(6);
  const { seccomp } = sys.nr;
  if (sys.call(seccomp, SECCOMP_GET_NOTIF_SIZES, 0, sizes.address) < 0) {
    return [];
  }
  const notif = sizes.view.getUint16(0, true);
  const response = sizes.view.getUint16(2, true);
  if (notif === NOTIF.size && response === NOTIF_RESP.size) return [];
  return [
    `This Linux has notifications of ${notif} and ${response} bytes, not ${NOTIF.size} and ${NOTIF_RESP.size}: use a newer version of the kit.`,
  ];
}

/** Up to 1, Yama lets a process look at its descendants. */
function yamaProblems(sys: Sys): string[] {
  const scope = sys.readFile(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope");
  if (typeof scope === "number" || Number(scope) < 2) return [];
  return [
    `Yama forbids to look at other processes (ptrace_scope is ${scope.trim()}): set /proc/sys/kernel/yama/ptrace_scope to 1, as root.`,
  ];
}

/** The host lacks something. */
export class MissingNeeds extends Error {
  /** Name of the class. */
  override name = "MissingNeeds";
  /** What, a sentence each. */
  readonly missing: readonly string[];

  /** Of these, a sentence each. */
  constructor(missing: readonly string[]) {
    super(missing.join(" "));
    this.missing = missing;
  }
}
