// SPDX-License-Identifier: GPL-2.0-only

/**
 * Who a process is, and what it may use.
 *
 * @module
 */

import { EINVAL, EPERM } from "../uapi/errno.ts";
import {
  RLIM_INFINITY,
  RLIMIT_MEMLOCK,
  RLIMIT_NOFILE,
  RLIMIT_RTPRIO,
} from "../uapi/mman.ts";

/** Highest capability there is (Linux: CAP_CHECKPOINT_RESTORE). */
const CAP_LAST_CAP = 40;
/** Capability: may change its user id. */
const CAP_SETUID = 7;
/** Most files that root may allow a process (Linux: sysctl_nr_open). */
const NR_OPEN = 1n << 20n;
/** Number of resources (Linux: RLIM_NLIMITS). */
const RLIM_NLIMITS = 16;

/** All capabilities there are. */
export const ALL_CAPABILITIES: readonly number[] = Array.from(
  { length: CAP_LAST_CAP + 1 },
  (_, cap) => cap,
);

/** A user of the machine: what all its processes together are charged (Linux: struct user_struct). */
export class User {
  /** User id. */
  readonly uid: number;
  /** Pages charged to it. */
  lockedVm = 0;

  /** Charged nothing. */
  constructor(uid: number) {
    this.uid = uid;
  }
}

/** User id and capabilities of one process (Linux: struct cred). */
export class Credentials {
  #uid: number;
  readonly #capabilities: Set<number>;

  /** A fresh set. Throws a RangeError for what is no user id or no capability. */
  constructor(uid: number, capabilities: Iterable<number>) {
    if (!isUid(uid)) throw new RangeError(`${uid} is no user id`);
    this.#uid = uid;
    this.#capabilities = new Set(capabilities);
    for (const capability of this.#capabilities) {
      if (!ALL_CAPABILITIES.includes(capability)) {
        throw new RangeError(`${capability} is no capability`);
      }
    }
  }

  /** User id. */
  get uid(): number {
    return this.#uid;
  }

  /** True if it has the capability. */
  has(capability: number): boolean {
    return this.#capabilities.has(capability);
  }

  /**
   * Changes the user id; root that becomes someone else loses all
   * capabilities. Throws EINVAL for what is no uid, EPERM without CAP_SETUID
   * for another uid. (Linux: __sys_setuid, cap_emulate_setxuid.)
   */
  setuid(uid: number): void {
    if (!isUid(uid)) throw EINVAL;
    if (!this.has(CAP_SETUID) && uid !== this.#uid) throw EPERM;
    if (this.#uid === 0 && uid !== 0) this.#capabilities.clear();
    this.#uid = uid;
  }

  /** Gives up a capability. Throws EINVAL for what is none. */
  drop(capability: number): void {
    if (!ALL_CAPABILITIES.includes(capability)) throw EINVAL;
    this.#capabilities.delete(capability);
  }

  /** What another program has: root every capability again, others none (Linux: cap_bprm_creds_from_file). */
  exec(): void {
    this.#capabilities.clear();
    if (this.#uid !== 0) return;
    for (const capability of ALL_CAPABILITIES) {
      this.#capabilities.add(capability);
    }
  }

  /** A copy for a child. */
  fork(): Credentials {
    return new Credentials(this.#uid, this.#capabilities);
  }
}

/** Linux: uid_valid; 2^32 - 1 stands for none. */
function isUid(uid: number): boolean {
  return Number.isInteger(uid) && uid >= 0 && uid < 2 ** 32 - 1;
}

/**
 * The resource limits of one process. RLIMIT_MEMLOCK is 8 MiB as on Linux,
 * RLIMIT_NOFILE 1024; the others are stored but limit nothing. The hard limits
 * are infinite, except 2^20 of RLIMIT_NOFILE (Linux: fs.nr_open), so that
 * setrlimit of a soft limit alone can raise it.
 */
export class ResourceLimits {
  readonly #soft: bigint[];
  readonly #hard: bigint[];

  /** The limits of a fresh process. */
  constructor() {
    this.#soft = new Array<bigint>(RLIM_NLIMITS).fill(RLIM_INFINITY);
    this.#soft[RLIMIT_MEMLOCK] = 8n << 20n;
    this.#soft[RLIMIT_NOFILE] = 1024n;
    this.#soft[RLIMIT_RTPRIO] = 0n;
    this.#hard = new Array<bigint>(RLIM_NLIMITS).fill(RLIM_INFINITY);
    this.#hard[RLIMIT_MEMLOCK] = 8n << 20n;
    this.#hard[RLIMIT_NOFILE] = 4096n;
    this.#hard[RLIMIT_RTPRIO] = 0n;
  }

  /** The soft limit of a resource. Throws EINVAL for what is none. */
  get(resource: number): bigint {
    const soft = this.#soft[resource];
    if (soft === undefined) throw EINVAL;
    return soft;
  }

  /**
   * Sets a soft limit, and raises the hard one to it if it is lower. Throws
   * EINVAL for what is no resource or no limit, EPERM for who may not raise a
   * hard limit, or not so far. (Linux: do_prlimit.)
   */
  set(resource: number, soft: bigint, mayRaise: boolean): void {
    const hard = this.#hard[resource];
    if (hard === undefined) throw EINVAL;
    if (typeof soft !== "bigint" || soft < 0n || soft > RLIM_INFINITY) {
      throw EINVAL;
    }
    if (soft > hard) {
      const most = resource === RLIMIT_NOFILE ? NR_OPEN : RLIM_INFINITY;
      if (soft > most || !mayRaise) throw EPERM;
      this.#hard[resource] = soft;
    }
    this.#soft[resource] = soft;
  }

  /** A copy for a child. */
  fork(): ResourceLimits {
    const copy = new ResourceLimits();
    this.#soft.forEach((soft, resource) => copy.#soft[resource] = soft);
    this.#hard.forEach((hard, resource) => copy.#hard[resource] = hard);
    return copy;
  }
}
