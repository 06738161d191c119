// SPDX-License-Identifier: GPL-2.0-only

/**
 * What was found out of who a process is: to ask the host each time costs more
 * than the calls that need it.
 *
 * @module
 */

import { ESRCH } from "../../../impl/uapi/errno.ts";
import { type Answer, type Call, CONTINUE } from "../call.ts";
import type { NotifiedCall } from "../call.ts";
import type { Beliefs } from "../process.ts";

/** User and capabilities of one process. */
export class KnownCredentials {
  readonly #beliefs: Beliefs;
  readonly #pid: number;
  #uid: number;
  readonly #capable = new Map<number, boolean>();
  #changes = false;

  /** Asks who it is. Throws ESRCH if it is gone. */
  constructor(beliefs: Beliefs, pid: number) {
    this.#beliefs = beliefs;
    this.#pid = pid;
    this.#uid = beliefs.uidOf(pid);
  }

  /** Its user id; the last one of a process that is gone. */
  get uid(): number {
    if (this.#changes) this.#uid = this.#ask(this.#uid);
    return this.#uid;
  }

  /** Whether it has a capability, `CAP_*`. Throws ESRCH if it is gone. */
  capable(capability: number): boolean {
    let capable = this.#changes ? undefined : this.#capable.get(capability);
    if (capable === undefined) {
      capable = this.#beliefs.capable(this.#pid, capability);
      this.#capable.set(capability, capable);
    }
    return capable;
  }

  /** It changes who it is, at some moment from now on: from here on the host is asked each time. */
  change(): void {
    this.#changes = true;
  }

  /** It runs another program, which may have other capabilities. */
  exec(): void {
    this.#capable.clear();
  }

  #ask(last: number): number {
    try {
      return this.#beliefs.uidOf(this.#pid);
    } catch (error) {
      if (ESRCH.is(error)) return last;
      throw error;
    }
  }
}

/** unshare: of users. */
const CLONE_NEWUSER = 0x10000000;

function change(call: Call): Answer {
  call.process.credentials.change();
  return CONTINUE;
}

/** The family: calls that change who a process is, and are the host's. */
export const CREDENTIAL_CALLS: readonly NotifiedCall[] = [
  { name: "setuid", handle: change },
  { name: "setreuid", handle: change },
  { name: "setresuid", handle: change },
  { name: "setns", handle: change },
  {
    name: "unshare",
    when: [{ argument: 0, test: "anyBit", value: CLONE_NEWUSER }],
    handle: change,
  },
];
