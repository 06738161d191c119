// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the model believes of real processes.
 *
 * @module
 */

import { RLIMIT_MEMLOCK } from "../../../impl/uapi/mman.ts";
import { HostCredentials } from "../../files/credentials.ts";
import type { Sys } from "../../sys/sys.ts";
import { type Capabilities, capabilitiesOfUser } from "./capabilities.ts";
import type { Beliefs } from "../process.ts";

/** What is believed against the truth; the truth where nothing is said. */
export interface Pretence {
  /** The user id. Every capability comes with 0, until it is dropped, and none with others. */
  readonly uid?: number | undefined;
  /** RLIMIT_MEMLOCK, bytes. */
  readonly memlock?: bigint | undefined;
}

/** The truth, but for what is pretended. */
export class HostBeliefs implements Beliefs {
  readonly #truth: HostCredentials;
  readonly #pretence: Pretence;

  /** Asks the host. */
  constructor(sys: Sys, pretence: Pretence = {}) {
    this.#truth = new HostCredentials(sys);
    this.#pretence = pretence;
  }

  uidOf(pid: number): number {
    return this.#pretence.uid ?? this.#truth.uidOf(pid);
  }

  capable(pid: number, capability: number): boolean {
    return this.#truth.capable(pid, capability);
  }

  get pretended(): Capabilities | undefined {
    const { uid } = this.#pretence;
    return uid === undefined ? undefined : capabilitiesOfUser(uid);
  }

  limitOf(pid: number, resource: number): bigint {
    const { memlock } = this.#pretence;
    return memlock !== undefined && resource === RLIMIT_MEMLOCK
      ? memlock
      : this.#truth.limitOf(pid, resource);
  }
}
