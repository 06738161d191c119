// SPDX-License-Identifier: GPL-2.0-only

/**
 * Who a real process is and what it may use, as the host says.
 *
 * @module
 */

import { EINVAL, ESRCH } from "../../impl/uapi/errno.ts";
import { RLIM_INFINITY } from "../../impl/uapi/mman.ts";
import { AT_FDCWD } from "../sys/structs.ts";
import type { Block, Sys } from "../sys/sys.ts";

/** The resources in the order of their numbers, as `/proc/PID/limits` names them. */
const RESOURCES = [
  "Max cpu time",
  "Max file size",
  "Max data size",
  "Max stack size",
  "Max core file size",
  "Max resident set",
  "Max processes",
  "Max open files",
  "Max locked memory",
  "Max address space",
  "Max file locks",
  "Max pending signals",
  "Max msgqueue size",
  "Max nice priority",
  "Max realtime priority",
  "Max realtime timeout",
] as const;

/** What `/proc/PID/uid_map` says where all users are the machine's. */
const ALL_USERS = /^\s*0\s+0\s+4294967295\s*$/;

/** A limit of a resource. */
export interface Limit {
  readonly soft: bigint;
  /** What it can be raised to. */
  readonly hard: bigint;
}

/** Asks the host each time: a process changes its user and its limits by itself. */
export class HostCredentials {
  readonly #sys: Sys;
  readonly #limit: Block;

  /** Asks by these calls. */
  constructor(sys: Sys) {
    this.#sys = sys;
    this.#limit = sys.alloc(16);
  }

  /** The real user id of a process: its user is who is charged (Linux: cred.user). Throws ESRCH. */
  uidOf(pid: number): number {
    return Number(field(this.#read(pid, "status"), /^Uid:\s+(\d+)/m));
  }

  /**
   * True if a process has a capability, `CAP_*`, on the machine: not if it only
   * has it in a user namespace. Throws ESRCH. (Linux: capable.)
   */
  capable(pid: number, capability: number): boolean {
    const has = this.capabilitiesOf(pid) >> BigInt(capability) & 1n;
    return has === 1n && ALL_USERS.test(this.#read(pid, "uid_map"));
  }

  /** All capabilities of a process, on the machine or not: bit N is the capability N. Throws ESRCH. */
  capabilitiesOf(pid: number): bigint {
    const effective = field(this.#read(pid, "status"), /^CapEff:\s+(\w+)/m);
    return BigInt(`0x${effective}`);
  }

  /** The limit of a resource of a process, `RLIMIT_*`. Throws EINVAL for what is none, ESRCH. */
  limitOf(pid: number, resource: number): Limit {
    if (RESOURCES[resource] === undefined) throw EINVAL;
    const { nr } = this.#sys;
    const { address, view } = this.#limit;
    const result = this.#sys.call(nr.prlimit64, pid, resource, 0, address);
    // That of another user is told by /proc alone, without CAP_SYS_RESOURCE.
    if (result < 0) return this.limitInProc(pid, resource);
    const [soft, hard] = [
      view.getBigUint64(0, true),
      view.getBigUint64(8, true),
    ];
    return { soft, hard };
  }

  /** The same, as `/proc/PID/limits` says it. */
  limitInProc(pid: number, resource: number): Limit {
    const text = this.#read(pid, "limits");
    const [soft, hard] = ["", "\\w+\\s+"].map((before) => {
      const name = RESOURCES[resource];
      const found = field(text, new RegExp(`^${name}\\s+${before}(\\w+)`, "m"));
      return found === "unlimited" ? RLIM_INFINITY : BigInt(found);
    });
    return { soft: soft!, hard: hard! };
  }

  #read(pid: number, file: string): string {
    const text = this.#sys.readFile(AT_FDCWD, `/proc/${pid}/${file}`);
    if (typeof text === "number") throw ESRCH;
    return text;
  }
}

/** What an expression finds in a text. Throws ESRCH where it is not: the process is about to go. */
function field(text: string, expression: RegExp): string {
  const found = expression.exec(text)?.[1];
  if (found === undefined) throw ESRCH;
  return found;
}
