// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the model believes of real processes.
 *
 * @module
 */

import { EINVAL } from "../../impl/uapi/errno.ts";
import { RLIMIT_MEMLOCK } from "../../impl/uapi/mman.ts";
import { AT_FDCWD, STATX } from "../sys/structs.ts";
import type { Block, Sys } from "../sys/sys.ts";
import type { Beliefs } from "./process.ts";

/** statx: the owner is enough. */
const STATX_UID = 0x8;
/** capget: _LINUX_CAPABILITY_VERSION_3. */
const CAPABILITY_VERSION = 0x20080522;

/** What is believed against the truth; the truth where nothing is said. */
export interface Pretence {
  /** The user id. Every capability comes with 0, none with others. */
  readonly uid?: number | undefined;
  /** RLIMIT_MEMLOCK, bytes. */
  readonly memlock?: bigint | undefined;
}

/** The truth, but for what is pretended. */
export class HostBeliefs implements Beliefs {
  readonly #sys: Sys;
  readonly #pretence: Pretence;
  readonly #scratch: Block;

  /** Asks the host. */
  constructor(sys: Sys, pretence: Pretence = {}) {
    this.#sys = sys;
    this.#pretence = pretence;
    this.#scratch = sys.alloc(STATX.size);
  }

  uidOf(pid: number): number {
    const { uid } = this.#pretence;
    if (uid !== undefined) return uid;
    const { address, view } = this.#scratch;
    const path = this.#sys.text(`/proc/${pid}`);
    const { nr } = this.#sys;
    this.#sys.call(nr.statx, AT_FDCWD, path, 0, STATX_UID, address);
    return view.getUint32(STATX.uid, true);
  }

  capable(pid: number, capability: number): boolean {
    const { uid } = this.#pretence;
    if (uid !== undefined) return uid === 0;
    const { address, view } = this.#scratch;
    view.setUint32(0, CAPABILITY_VERSION, true);
    view.setInt32(4, pid, true);
    const { capget } = this.#sys.nr;
    if (this.#sys.call(capget, address, address + 16) < 0) return false;
    // The effective ones of two structs: those up to 31, and the rest.
    const at = 16 + 12 * (capability >> 5);
    return (view.getUint32(at, true) >>> (capability & 31) & 1) === 1;
  }

  limitOf(pid: number, resource: number): bigint {
    const { memlock } = this.#pretence;
    if (memlock !== undefined && resource === RLIMIT_MEMLOCK) return memlock;
    const { address, view } = this.#scratch;
    const { prlimit64 } = this.#sys.nr;
    const result = this.#sys.call(prlimit64, pid, resource, 0, address);
    if (result < 0) throw EINVAL;
    return view.getBigUint64(0, true);
  }
}
