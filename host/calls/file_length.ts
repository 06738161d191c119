// SPDX-License-Identifier: GPL-2.0-only

/**
 * Calls by which a program drops pages of a file that may be pinned, or sees
 * that they are. The host does them; what is pinned is kept before that.
 *
 * @module
 */

import { EBUSY } from "../../impl/uapi/errno.ts";
import {
  F_ADD_SEALS,
  F_SEAL_WRITE,
  FALLOC_FL_PUNCH_HOLE,
} from "../../impl/uapi/mman.ts";
import { keepCut, keepPunched } from "../memory/leaving.ts";
import { AT_FDCWD } from "../sys/structs.ts";
import { type Answer, type Call, CONTINUE, type NotifiedCall } from "./call.ts";
import { pathAt } from "./path.ts";

/** Which file a descriptor of the caller is of, if anything is pinned. */
function fileOf(call: Call): string | undefined {
  const path = `/proc/${call.tid}/fd/${call.int(0)}`;
  return call.host.machine.fileAtPath(path);
}

function ftruncate(call: Call): Answer {
  const file = fileOf(call);
  if (file !== undefined) keepCut(call.host.machine, file, call.arg(1));
  return CONTINUE;
}

function truncate(call: Call): Answer {
  const path = pathAt(call, call.arg(0));
  if (path !== undefined) keepTruncated(call, AT_FDCWD, path, call.arg(1));
  return CONTINUE;
}

/** The caller is about to have a file, by its path, end at a byte. */
export function keepTruncated(
  call: Call,
  dir: number,
  path: string,
  size = 0,
): void {
  const { machine } = call.host;
  const file = machine.fileAtPath(`/proc/${call.tid}/${seenFrom(dir, path)}`);
  if (file !== undefined) keepCut(machine, file, size);
}

/** A path of a process from its folder in /proc on. */
function seenFrom(dir: number, path: string): string {
  const own = /^\/proc\/(?:thread-)?self\/(.*)$/.exec(path)?.[1];
  if (own !== undefined) return own;
  if (path.startsWith("/")) return `root${path}`;
  return dir === AT_FDCWD ? `cwd/${path}` : `fd/${dir}/${path}`;
}

function fallocate(call: Call): Answer {
  const file = fileOf(call);
  const [from, length] = [call.arg(2), call.arg(3)];
  if (file !== undefined) {
    keepPunched(call.host.machine, file, from, from + length);
  }
  return CONTINUE;
}

/** What is pinned may be written, so that nobody seals it against that. */
function addSeals(call: Call): Answer {
  const { machine } = call.host;
  machine.dropIdle();
  const seals = call.int(2);
  const file = (seals & F_SEAL_WRITE) === 0 ? undefined : fileOf(call);
  const isPinned = file !== undefined &&
    machine.objectOfFile(file)?.isPinned();
  return isPinned ? -EBUSY.code : CONTINUE;
}

/** The family. */
export const FILE_LENGTH_CALLS: readonly NotifiedCall[] = [
  { name: "ftruncate", handle: ftruncate },
  { name: "truncate", handle: truncate },
  {
    name: "fallocate",
    when: [{ argument: 1, test: "anyBit", value: FALLOC_FL_PUNCH_HOLE }],
    handle: fallocate,
  },
  {
    name: "fcntl",
    when: [{ argument: 1, test: "equals", value: F_ADD_SEALS }],
    handle: addSeals,
  },
];
