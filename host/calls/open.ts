// SPDX-License-Identifier: GPL-2.0-only

/**
 * open of what the model has.
 *
 * @module
 */

import type { Found } from "../files/shown/node.ts";
import { AT_FDCWD, O_CLOEXEC, OPEN_FLAGS } from "../sys/structs.ts";
import { EFAULT } from "../../impl/uapi/errno.ts";
import { O_TRUNC } from "../../impl/uapi/mman.ts";
import {
  type Answer,
  answered,
  type Call,
  CONTINUE,
  type NotifiedCall,
} from "./call.ts";
import { keepTruncated } from "./file_length.ts";
import { pathAt } from "./path.ts";

function openPath(
  call: Call,
  dir: number,
  address: number,
  flags: number,
): Answer {
  const path = pathAt(call, address);
  if (path === undefined) return CONTINUE;
  const { process, tid, host: { kernel, shown, sys } } = call;
  const looker = { tgid: process.pid, tid };
  const follows = (flags & OPEN_FLAGS[sys.architecture].O_NOFOLLOW) === 0;
  try {
    const found = shown.resolve(looker, dir, path, follows);
    if (found === undefined) {
      if ((flags & O_TRUNC) !== 0) keepTruncated(call, dir, path);
      return CONTINUE;
    }
    const fd = shown.openReal(looker, found, flags);
    return fd === undefined
      ? openServed(call, found, flags)
      : giveReal(call, fd, flags);
  } catch (error) {
    return kernel.resultOfError(error);
  }
}

/** Gives the program a descriptor of a real file, which is closed here. */
function giveReal(call: Call, fd: number, flags: number): Answer {
  if (fd < 0) return fd;
  call.answerWithDescriptor();
  const result = call.addDescriptor(fd, (flags & O_CLOEXEC) !== 0);
  call.host.sys.close(fd);
  return result;
}

/** Opens what the model serves. */
function openServed(call: Call, found: Found, flags: number): Answer {
  const { node, path } = found;
  if (node === undefined || !("open" in node)) return CONTINUE;
  const { process, host: { shown } } = call;
  return answered(call, path, () => {
    call.answerWithDescriptor();
    process.files.path = path;
    return process.openWith(
      flags,
      () => shown.openServed(node.open, process, flags),
    );
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
