// SPDX-License-Identifier: GPL-2.0-only

/**
 * open of what the model has.
 *
 * @module
 */

import { AT_FDCWD } from "../sys/structs.ts";
import { EFAULT } from "../../impl/uapi/errno.ts";
import {
  type Answer,
  answered,
  type Call,
  CONTINUE,
  type NotifiedCall,
} from "./call.ts";
import { pathAt } from "./path.ts";

function openPath(
  call: Call,
  _dir: number,
  address: number,
  flags: number,
): Answer {
  const path = pathAt(call, address);
  if (path === undefined) return CONTINUE;
  const { kernel } = call.host;
  if (!kernel.devices.has(path) || !path.startsWith("/dev/")) return CONTINUE;
  if (path === "/dev/null") return CONTINUE;
  const { process } = call;
  return answered(call, path, () => {
    call.answerWithDescriptor();
    process.files.path = path;
    return process.open(path, flags);
  });
}

/** Where the flags of a struct open_how are. */
function flagsOfHow(call: Call): number | undefined {
  const how = new Uint8Array(8);
  try {
    call.process.mm.getUser(how, call.arg(2));
  } catch {
    return undefined;
  }
  return new DataView(how.buffer).getInt32(0, true);
}

function openat2(call: Call): Answer {
  const flags = flagsOfHow(call);
  if (flags === undefined) return -EFAULT.code;
  return openPath(call, call.int(0), call.arg(1), flags);
}

/** The family. */
export const OPEN_CALLS: readonly NotifiedCall[] = [
  {
    name: "open",
    handle: (call) => openPath(call, AT_FDCWD, call.arg(0), call.int(1)),
  },
  {
    name: "openat",
    handle: (call) => openPath(call, call.int(0), call.arg(1), call.int(2)),
  },
  { name: "openat2", handle: openat2 },
];
