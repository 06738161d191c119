// SPDX-License-Identifier: GPL-2.0-only

/**
 * Who real processes are to the model, and what they may.
 *
 * @module
 */

import { ESRCH } from "../../../impl/uapi/errno.ts";
import { RLIMIT_MEMLOCK } from "../../../impl/uapi/mman.ts";
import { HostCredentials, type Limit } from "../../files/credentials.ts";
import type { Sys } from "../../sys/sys.ts";

/** What is believed against the truth; the truth where nothing is said. */
export interface Pretence {
  /**
   * The user id of those who are the same user as the supervisor: whoever
   * becomes another is believed to be that. Every capability comes with 0,
   * until it is dropped, and none with others.
   */
  readonly uid?: number | undefined;
  /** RLIMIT_MEMLOCK, bytes. */
  readonly memlock?: bigint | undefined;
}

/** Sets of capabilities; bit N is the capability N. */
export interface Capabilities {
  readonly effective: bigint;
  /** What may be made effective. */
  readonly permitted: bigint;
  readonly inheritable: bigint;
}

/** Those that there are (Linux: CAP_LAST_CAP). */
export const ALL_CAPABILITIES: bigint = (1n << 41n) - 1n;

/** What is the same for all processes. */
export class Beliefs {
  /** The truth. */
  readonly truth: HostCredentials;
  /** What is believed against it. */
  readonly pretence: Pretence;
  /** Who the supervisor is. */
  readonly ownUid: number;

  /** Asks the host. */
  constructor(sys: Sys, pretence: Pretence = {}) {
    this.truth = new HostCredentials(sys);
    this.pretence = pretence;
    this.ownUid = this.truth.uidOf(Deno.pid);
  }

  /** What the program may at its start against the truth; undefined for the truth. */
  get capabilities(): Capabilities | undefined {
    const { uid } = this.pretence;
    if (uid === undefined) return undefined;
    const all = uid === 0 ? ALL_CAPABILITIES : 0n;
    return { effective: all, permitted: all, inheritable: 0n };
  }
}

/** Who a process is. What was found out is kept: to ask each time costs more than the calls that need it. */
export class Identity {
  /** RLIMIT_MEMLOCK against the truth; undefined where the truth is believed. */
  memlock: Limit | undefined;
  readonly #beliefs: Beliefs;
  readonly #pid: number;
  #uid: number;
  #capabilities: Capabilities | undefined;
  readonly #trulyCapable = new Map<number, boolean>();
  #changes = false;

  /** Of a new process, whose parent may not be known. Throws ESRCH if it is gone. */
  constructor(beliefs: Beliefs, pid: number, parent?: Identity) {
    const { memlock } = beliefs.pretence;
    const limit = memlock === undefined
      ? undefined
      : { soft: memlock, hard: memlock };
    this.#beliefs = beliefs;
    this.#pid = pid;
    this.memlock = parent ? parent.memlock : limit;
    this.#capabilities = parent ? parent.#capabilities : beliefs.capabilities;
    this.#uid = this.#findUid();
  }

  /** The user id; the last one of a process that is gone. */
  get uid(): number {
    if (this.#changes) this.#uid = this.#findUidAgain();
    return this.#uid;
  }

  /** What it may against the truth; undefined where the truth is believed. */
  get capabilities(): Capabilities | undefined {
    if (this.#changes) this.#uid = this.#findUidAgain();
    return this.#capabilities;
  }

  set capabilities(sets: Capabilities) {
    this.#capabilities = sets;
  }

  /** True if it has a capability, `CAP_*`. Throws ESRCH if it is gone. */
  capable(capability: number): boolean {
    const { capabilities } = this;
    if (capabilities === undefined) return this.trulyCapable(capability);
    return (capabilities.effective >> BigInt(capability) & 1n) === 1n;
  }

  /** True if it has a capability on the host. Throws ESRCH if it is gone. */
  trulyCapable(capability: number): boolean {
    const known = this.#changes
      ? undefined
      : this.#trulyCapable.get(capability);
    if (known !== undefined) return known;
    const capable = this.#beliefs.truth.capable(this.#pid, capability);
    this.#trulyCapable.set(capability, capable);
    return capable;
  }

  /** A soft limit, `RLIMIT_*`. Throws EINVAL for what is none, ESRCH. */
  limit(resource: number): bigint {
    const pretended = resource === RLIMIT_MEMLOCK ? this.memlock : undefined;
    return (pretended ?? this.trueLimit(resource)).soft;
  }

  /** A limit as the host has it. Throws EINVAL for what is none, ESRCH. */
  trueLimit(resource: number): Limit {
    return this.#beliefs.truth.limitOf(this.#pid, resource);
  }

  /** It changes who it is, at some moment from now on: from here on the host is asked each time. */
  change(): void {
    this.#changes = true;
  }

  /** It runs another program: root has all capabilities again. */
  exec(): void {
    this.#trulyCapable.clear();
    if (this.#capabilities === undefined) return;
    this.#capabilities = this.#beliefs.capabilities;
  }

  /** Whoever is not the supervisor's user is who he is. */
  #findUid(): number {
    const { truth, pretence, ownUid } = this.#beliefs;
    const uid = truth.uidOf(this.#pid);
    if (pretence.uid !== undefined && uid === ownUid) return pretence.uid;
    this.#capabilities = undefined;
    return uid;
  }

  #findUidAgain(): number {
    try {
      return this.#findUid();
    } catch (error) {
      if (ESRCH.is(error)) return this.#uid;
      throw error;
    }
  }
}
