// SPDX-License-Identifier: GPL-2.0-only

/**
 * Calls that look at a file: what is only shown is told here, everything else
 * by the host.
 *
 * @module
 */

import { asErrno, EACCES, EFAULT, EINVAL } from "../../../impl/uapi/errno.ts";
import type { Found, Looker } from "../../files/shown/node.ts";
import {
  type Attributes,
  encodeStat,
  encodeStatx,
} from "../../files/shown/stat.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
} from "../../sys/structs.ts";
import {
  type Answer,
  type Call,
  CONTINUE,
  type NotifiedCall,
} from "../call.ts";
import { copyOut } from "./copy.ts";
import { pathAt } from "../path.ts";

/** Linux: no extended attribute of that name. */
const ENODATA_CODE = 61;
const R_OK = 4;
const W_OK = 2;
const X_OK = 1;

/** Which file a call is about. */
interface Place {
  /** A descriptor or `AT_FDCWD`. */
  readonly dir: number;
  /** Where its path is in the program's memory. */
  readonly path: number;
  /** `AT_*`: whether a link at the end is followed, and whether an empty path is the descriptor itself. */
  readonly flags: number;
}

/** Tells of a file. */
type Tell = (call: Call, found: Found) => Answer;

/** Who makes a call. */
export function lookerOf(call: Call): Looker {
  return { tgid: call.process.pid, tid: call.tid };
}

/** What `answer` returns, or the errno that it throws. */
export function orErrno(answer: () => Answer): Answer {
  try {
    return answer();
  } catch (error) {
    return -asErrno(error).code;
  }
}

/** Answers a call about a file: `tell` does, of what the kernel does not find by itself. */
export function about(call: Call, place: Place, tell: Tell): Answer {
  const path = place.path === 0 ? "" : pathAt(call, place.path);
  if (path === undefined) return CONTINUE;
  const { shown } = call.host;
  const looker = lookerOf(call);
  return orErrno(() => {
    const isDescriptor = path === "" && (place.flags & AT_EMPTY_PATH) !== 0;
    const follows = (place.flags & AT_SYMLINK_NOFOLLOW) === 0;
    const found = isDescriptor
      ? shown.atDescriptor(looker, place.dir)
      : shown.resolve(looker, place.dir, path, follows);
    return found === undefined ? CONTINUE : tell(call, found);
  });
}

/** A path that is the first argument; from the working folder on. */
function pathAlone(call: Call, flags = 0): Place {
  return { dir: AT_FDCWD, path: call.arg(0), flags };
}

/** A path that is the second argument; from the directory that is the first on. */
function pathIn(call: Call, flags: number): Place {
  return { dir: call.int(0), path: call.arg(1), flags };
}

/** Puts bytes where a program wants them; the answer is `result` then. */
export function put(
  call: Call,
  address: number,
  bytes: Uint8Array,
  result = 0,
): number {
  return copyOut(call, address, bytes) ? result : -EFAULT.code;
}

/** Writes struct stat, or what `encode` makes, to where the argument `index` says. */
function tellStat(
  index: number,
  encode: (call: Call, of: Attributes) => Uint8Array,
): Tell {
  return (call, found) => {
    // The kernel knows more of its own links.
    if (found.node?.kind === "link" && found.node.isOfHost) return CONTINUE;
    const of = call.host.shown.attributesOf(lookerOf(call), found);
    return put(call, call.arg(index), encode(call, of));
  };
}

const stat = (index: number) =>
  tellStat(index, (call, of) => encodeStat(call.host.sys.architecture, of));
const statx = (index: number) =>
  tellStat(index, (_call, of) => encodeStatx(of));

/** Whether the program's user may do to a file what the argument `index` asks. */
function tellAccess(index: number): Tell {
  return (call, found) => {
    const wanted = call.int(index);
    if ((wanted & ~(R_OK | W_OK | X_OK)) !== 0) throw EINVAL;
    const { shown } = call.host;
    const of = shown.attributesOf(lookerOf(call), found);
    const { uid } = call.process.user;
    if ((wanted & ~allowed(of, uid, found)) !== 0) throw EACCES;
    return 0;
  };
}

/** What a user may do, as `R_OK`, `W_OK` and `X_OK`. */
function allowed(of: Attributes, uid: number, { node }: Found): number {
  const owners = of.mode >> 6 & 7;
  // The model opens its devices for everybody.
  if (node?.kind === "device") return R_OK | W_OK;
  if (uid === 0) return R_OK | W_OK | owners;
  return uid === of.uid ? owners : of.mode & 7;
}

/** Writes the text of a link, without a zero at its end, as far as there is room. */
function tellLink(index: number): Tell {
  return (call, { path, node }) => {
    const room = call.int(index + 1);
    if (room <= 0) throw EINVAL;
    const { host } = call.host.shown;
    const text = node === undefined
      ? host.readlink(path)
      : node.kind === "link"
      ? node.target(lookerOf(call))
      : undefined;
    if (text === undefined) throw EINVAL;
    if (typeof text === "number") return text;
    const bytes = new TextEncoder().encode(text).subarray(0, room);
    return put(call, call.arg(index), bytes, bytes.length);
  };
}

/** No file that is only shown has extended attributes. */
const noAttribute: Tell = () => -ENODATA_CODE;
const noAttributes: Tell = () => 0;

const NOFOLLOW = AT_SYMLINK_NOFOLLOW;

/** The family. */
export const LOOK_CALLS: readonly NotifiedCall[] = [
  { name: "stat", handle: (call) => about(call, pathAlone(call), stat(1)) },
  {
    name: "lstat",
    handle: (call) => about(call, pathAlone(call, NOFOLLOW), stat(1)),
  },
  {
    name: "fstat",
    handle: (call) =>
      about(call, { dir: call.int(0), path: 0, flags: AT_EMPTY_PATH }, stat(1)),
  },
  {
    name: "newfstatat",
    handle: (call) => about(call, pathIn(call, call.int(3)), stat(2)),
  },
  {
    name: "statx",
    handle: (call) => about(call, pathIn(call, call.int(2)), statx(4)),
  },
  {
    name: "access",
    handle: (call) => about(call, pathAlone(call), tellAccess(1)),
  },
  {
    name: "faccessat",
    handle: (call) => about(call, pathIn(call, 0), tellAccess(2)),
  },
  {
    name: "faccessat2",
    handle: (call) => about(call, pathIn(call, call.int(3)), tellAccess(2)),
  },
  {
    name: "readlink",
    handle: (call) => about(call, pathAlone(call, NOFOLLOW), tellLink(1)),
  },
  {
    name: "readlinkat",
    handle: (call) => about(call, pathIn(call, NOFOLLOW), tellLink(2)),
  },
  {
    name: "getxattr",
    handle: (call) => about(call, pathAlone(call), noAttribute),
  },
  {
    name: "lgetxattr",
    handle: (call) => about(call, pathAlone(call, NOFOLLOW), noAttribute),
  },
  {
    name: "listxattr",
    handle: (call) => about(call, pathAlone(call), noAttributes),
  },
  {
    name: "llistxattr",
    handle: (call) => about(call, pathAlone(call, NOFOLLOW), noAttributes),
  },
];
