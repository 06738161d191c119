// SPDX-License-Identifier: GPL-2.0-only

/**
 * Directories: their names, and to be in one.
 *
 * @module
 */

import { EACCES, EINVAL, ENOTDIR, ERANGE } from "../../../impl/uapi/errno.ts";
import {
  type Dirent,
  direntsSize,
  encodeDirents,
  mergeDirents,
} from "../../files/shown/dirents.ts";
import { inodeOf } from "../../files/shown/stat.ts";
import { AT_FDCWD } from "../../sys/structs.ts";
import {
  type Answer,
  type Call,
  CONTINUE,
  type NotifiedCall,
} from "../call.ts";
import { about, lookerOf, orErrno, put } from "./look.ts";
import { peek, poke } from "./copy.ts";
import { TracedThread } from "../traced_thread.ts";

const SEEK_SET = 0;
const SEEK_CUR = 1;
const DT_DIR = 4;
/** Most bytes of names that are told at once. */
const MAX_NAMES = 1 << 16;
/** Least room that is left for the host's names. */
const MIN_NAMES = 280;

/** Tells the names in a directory: of one of the host its own first. */
function getdents64(call: Call): Answer {
  const { shown, sys } = call.host;
  const looker = lookerOf(call);
  const base = shown.directoryAt(looker, call.int(0));
  if (base === undefined) return CONTINUE;
  const entries = shown.entriesOf(looker, base.path);
  if (!base.isOnlyShown && entries.length === 0) return CONTINUE;
  const fd = sys.pidfdGetfd(call.process.pidfd, call.int(0));
  if (fd < 0) return CONTINUE;
  try {
    return orErrno(() =>
      base.isOnlyShown
        ? listShown(call, fd, withDots(base.path, entries))
        : listMerged(call, fd, entries)
    );
  } finally {
    sys.close(fd);
  }
}

/** The names of a directory that the host has not. Its position is how many were told. */
function listShown(call: Call, fd: number, entries: Dirent[]): number {
  const { sys } = call.host;
  const { lseek } = sys.nr;
  const first = sys.call(lseek, fd, 0, SEEK_CUR);
  const { bytes, next } = encodeDirents(entries, first, call.arg(2));
  sys.call(lseek, fd, next, SEEK_SET);
  return put(call, call.arg(1), bytes, bytes.length);
}

/**
 * The names of a directory of the host, and with the first of them those that
 * are only shown: so that the position can be the host's.
 */
function listMerged(
  call: Call,
  fd: number,
  entries: readonly Dirent[],
): number {
  const { sys } = call.host;
  const { lseek, getdents64 } = sys.nr;
  const names = new Set(entries.map(({ name }) => name));
  const isFirst = sys.call(lseek, fd, 0, SEEK_CUR) === 0;
  const added = isFirst ? entries : [];
  const room = Math.min(call.arg(2), MAX_NAMES) - direntsSize(added);
  if (isFirst && room < MIN_NAMES) throw EINVAL;
  const block = sys.map(MAX_NAMES);
  try {
    for (;;) {
      const length = sys.call(getdents64, fd, block.address, room);
      if (length <= 0) return length;
      const piece = block.bytes.slice(0, length);
      const bytes = mergeDirents(piece, (name) => names.has(name), added);
      if (bytes.length === 0) continue;
      return put(call, call.arg(1), bytes, bytes.length);
    }
  } finally {
    sys.unmap(block.address, block.bytes.length);
  }
}

function withDots(path: string, entries: readonly Dirent[]): Dirent[] {
  const parent = path.slice(0, path.lastIndexOf("/")) || "/";
  return [
    { name: ".", ino: inodeOf(path), type: DT_DIR },
    { name: "..", ino: inodeOf(parent), type: DT_DIR },
    ...entries,
  ];
}

/**
 * Enters a directory. The host can enter one that is only shown by another
 * path, which is put in place of the program's until it has been read.
 */
function chdir(call: Call): Answer {
  const place = { dir: AT_FDCWD, path: call.arg(0), flags: 0 };
  return about(call, place, (call, { path, node }) => {
    if (node !== undefined && node.kind !== "directory") throw ENOTDIR;
    const { shown } = call.host;
    if (shown.directoryAt(lookerOf(call), AT_FDCWD)?.path === path) return 0;
    const real = node === undefined ? path : shown.enterableBy(path);
    return enterBy(call, call.arg(0), real);
  });
}

/**
 * Has the host enter a directory by another path than the one at an address,
 * where the program finds its own again. Throws EACCES where the program is
 * being debugged, so that it cannot be stopped in between.
 */
function enterBy(call: Call, address: number, path: string): Answer {
  const text = new TextEncoder().encode(`${path}\0`);
  const before = peek(call, address, text.length);
  const thread = before && TracedThread.of(call.host.sys, call.tid);
  if (thread === undefined) throw EACCES;
  const goOn = () => {
    poke(call, address, text);
    call.goOn();
  };
  thread.resultAfter(goOn, () => poke(call, address, before!));
  return CONTINUE;
}

/** Tells the working folder, if it is one that is only shown. */
function getcwd(call: Call): Answer {
  const base = call.host.shown.directoryAt(lookerOf(call), AT_FDCWD);
  if (base?.isOnlyShown !== true) return CONTINUE;
  const bytes = new TextEncoder().encode(`${base.path}\0`);
  if (bytes.length > call.arg(1)) return -ERANGE.code;
  return put(call, call.arg(0), bytes, bytes.length);
}

/** The family. */
export const LIST_CALLS: readonly NotifiedCall[] = [
  { name: "getdents64", handle: getdents64 },
  { name: "chdir", handle: chdir },
  { name: "getcwd", handle: getcwd },
];
