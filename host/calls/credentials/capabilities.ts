// SPDX-License-Identifier: GPL-2.0-only

/**
 * The capabilities of a process of which the model believes what is not true:
 * it is told what is believed, and what it drops it has no more. Where the truth
 * is believed, the host answers. Linux: kernel/capability.c.
 *
 * @module
 */

import { EFAULT, EPERM } from "../../../impl/uapi/errno.ts";
import {
  type Answer,
  type Call,
  CONTINUE,
  type NotifiedCall,
} from "../call.ts";
import { ALL_CAPABILITIES, type Capabilities } from "./identity.ts";

/** The version of the structs that has 64 of them (Linux: _LINUX_CAPABILITY_VERSION_3). */
const VERSION_3 = 0x20080522;
/** Bytes of struct __user_cap_header_struct, and of two of struct __user_cap_data_struct. */
const HEADER = 8;
const DATA = 24;
/** The caller's, if it asks for its own and they are pretended. */
function asked(call: Call): Capabilities | undefined {
  const { process } = call;
  const { capabilities } = process.identity;
  if (capabilities === undefined) return undefined;
  const header = new Uint8Array(HEADER);
  process.mm.getUser(header, call.arg(0));
  const view = new DataView(header.buffer);
  const pid = view.getInt32(4, true);
  const own = pid === 0 || pid === process.pid || pid === call.tid;
  const known = view.getUint32(0, true) === VERSION_3;
  return own && known ? capabilities : undefined;
}

/** What of the calls is the model's: the rest, and what is at no address, is for the host. */
function pretended(
  answer: (call: Call, before: Capabilities) => number,
): (call: Call) => Answer {
  return (call) => {
    try {
      const before = asked(call);
      return before === undefined || call.arg(1) === 0
        ? CONTINUE
        : answer(call, before);
    } catch (error) {
      if (EFAULT.is(error)) return -EFAULT.code;
      throw error;
    }
  };
}

const capget = pretended((call, sets) => {
  const data = new Uint8Array(DATA);
  const view = new DataView(data.buffer);
  const order = [sets.effective, sets.permitted, sets.inheritable];
  for (const [i, set] of order.entries()) {
    view.setUint32(4 * i, Number(set & 0xffffffffn), true);
    view.setUint32(12 + 4 * i, Number(set >> 32n), true);
  }
  call.process.mm.putUser(call.arg(1), data);
  return 0;
});

const pretendedCapset = pretended((call, before) => {
  const data = new Uint8Array(DATA);
  call.process.mm.getUser(data, call.arg(1));
  const view = new DataView(data.buffer);
  const [effective, permitted, inheritable] = [0, 4, 8].map((at) =>
    (BigInt(view.getUint32(at, true)) |
      BigInt(view.getUint32(12 + at, true)) << 32n) & ALL_CAPABILITIES
  ) as [bigint, bigint, bigint];
  const isMore = (permitted & ~before.permitted) !== 0n ||
    (effective & ~permitted) !== 0n;
  if (isMore) return -EPERM.code;
  call.process.identity.capabilities = { effective, permitted, inheritable };
  return 0;
});

function capset(call: Call): Answer {
  call.process.identity.change();
  return pretendedCapset(call);
}

/** The family. */
export const CAPABILITY_CALLS: readonly NotifiedCall[] = [
  { name: "capget", handle: capget },
  { name: "capset", handle: capset },
];
