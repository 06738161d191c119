// SPDX-License-Identifier: GPL-2.0-only

/**
 * RLIMIT_MEMLOCK. The host has it, but for what only somebody may set who is
 * believed to have more rights than he has. Linux: do_prlimit of kernel/sys.c.
 *
 * @module
 */

import { EPERM, Errno } from "../../../impl/uapi/errno.ts";
import { CAP_SYS_RESOURCE, RLIMIT_MEMLOCK } from "../../../impl/uapi/mman.ts";
import type { SyscallName } from "../../sys/numbers.ts";
import {
  type Answer,
  type Call,
  CONTINUE,
  type NotifiedCall,
} from "../call.ts";

/** Bytes of struct rlimit64, the same as struct rlimit. */
const RLIMIT = 16;

/** What a call does: addresses, 0 for what it leaves out. */
interface Request {
  /** Of the new limit. */
  readonly from: number;
  /** Of where the limit of before goes. */
  readonly to: number;
}

/** Linux: prlimit64. Throws EFAULT. */
function prlimit({ process }: Call, { from, to }: Request): Answer {
  const { identity, mm } = process;
  const before = identity.memlock;
  const bytes = new Uint8Array(RLIMIT);
  const view = new DataView(bytes.buffer);
  const read = (at: number) => view.getBigUint64(at, true);
  const truth = identity.trueLimit(RLIMIT_MEMLOCK);
  if (from !== 0) {
    mm.getUser(bytes, from);
    const limit = { soft: read(0), hard: read(8) };
    // The host refuses that.
    if (limit.soft > limit.hard) return CONTINUE;
    const isPretended = limit.hard > truth.hard &&
      !identity.trulyCapable(CAP_SYS_RESOURCE);
    const isRaised = limit.hard > (before ?? truth).hard;
    if (isPretended && isRaised && !identity.capable(CAP_SYS_RESOURCE)) {
      return -EPERM.code;
    }
    identity.memlock = isPretended ? limit : undefined;
    if (!isPretended) return CONTINUE;
  } else if (before === undefined) {
    return CONTINUE;
  }
  if (to !== 0) {
    const { soft, hard } = before ?? truth;
    view.setBigUint64(0, soft, true);
    view.setBigUint64(8, hard, true);
    mm.putUser(to, bytes);
  }
  return 0;
}

/** A call, of which `find` tells what it does; undefined for a process that is not the caller. */
function limitCall(
  name: SyscallName,
  resource: number,
  find: (call: Call) => Request | undefined,
): NotifiedCall {
  function handle(call: Call): Answer {
    const request = find(call);
    if (request === undefined) return CONTINUE;
    try {
      return prlimit(call, request);
    } catch (error) {
      if (error instanceof Errno) return -error.code;
      throw error;
    }
  }
  const value = RLIMIT_MEMLOCK;
  return {
    name,
    when: [{ argument: resource, test: "equals", value }],
    handle,
  };
}

/** The family. */
export const LIMIT_CALLS: readonly NotifiedCall[] = [
  limitCall("getrlimit", 0, (call) => ({ from: 0, to: call.arg(1) })),
  limitCall("setrlimit", 0, (call) => ({ from: call.arg(1), to: 0 })),
  limitCall("prlimit64", 1, (call) => {
    const pid = call.int(0);
    const own = pid === 0 || pid === call.process.pid;
    return own ? { from: call.arg(2), to: call.arg(3) } : undefined;
  }),
];
