// SPDX-License-Identifier: GPL-2.0-only

/**
 * Becoming somebody else: the host does it, and is asked afterwards.
 *
 * @module
 */

import {
  type Answer,
  type Call,
  CONTINUE,
  type NotifiedCall,
} from "../call.ts";

/** unshare: of users. */
const CLONE_NEWUSER = 0x10000000;

function change(call: Call): Answer {
  call.process.identity.change();
  return CONTINUE;
}

/** The family. */
export const USER_CALLS: readonly NotifiedCall[] = [
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
