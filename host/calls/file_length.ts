// SPDX-License-Identifier: GPL-2.0-only

/**
 * Calls by which a program drops pages of a file that may be pinned, or sees
 * that they are. The host does them; what is pinned is kept before that. A file
 * of the model's is neither cut nor allocated.
 *
 * @module
 */

import { EBUSY } from "../../impl/uapi/errno.ts";
import {
  F_ADD_SEALS,
  F_GET_SEALS,
  F_SEAL_EXEC,
  F_SEAL_SEAL,
  F_SEAL_WRITE,
  FALLOC_FL_PUNCH_HOLE,
  O_ACCMODE,
  O_RDONLY,
} from "../../impl/uapi/mman.ts";
import { keepCut, keepPunched } from "../memory/leaving.ts";
import { AT_FDCWD } from "../sys/structs.ts";
import {
  type Answer,
  answered,
  type Call,
  CONTINUE,
  type NotifiedCall,
} from "./call.ts";
import { pathAt } from "./path.ts";

const F_GETFL = 3;
const F_ALL_SEALS = 2 * F_SEAL_EXEC - 1;

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
  const { process } = call;
  const emulated = process.files.emulated(call.int(0));
  if (emulated !== undefined) {
    const [fd, mode] = [call.int(0), call.int(1)];
    const [at, bytes] = [signed(call.arg64(2)), signed(call.arg64(3))];
    const allocate = () => process.fallocate(fd, mode, at, bytes);
    return answered(call, emulated.name, allocate);
  }
  const punches = (call.int(1) & FALLOC_FL_PUNCH_HOLE) !== 0;
  const file = punches ? fileOf(call) : undefined;
  const [from, length] = [call.arg(2), call.arg(3)];
  if (file !== undefined) {
    keepPunched(call.host.machine, file, from, from + length);
  }
  return CONTINUE;
}

/** A number with a sign. */
function signed(value: bigint): number {
  return Number(BigInt.asIntN(64, value));
}

/** What is pinned may be written, so that nobody seals it against that. All else is the host's to refuse. */
function addSeals(call: Call): Answer {
  const { machine } = call.host;
  machine.dropIdle();
  const file = fileOf(call);
  const isPinned = file !== undefined &&
    machine.objectOfFile(file)?.isPinned();
  return isPinned && sealsWrites(call) ? -EBUSY.code : CONTINUE;
}

/** Whether the host looks for who may still write (Linux: memfd_add_seals). */
function sealsWrites(call: Call): boolean {
  const { process, host: { sys } } = call;
  const fd = sys.pidfdGetfd(process.pidfd, call.int(0));
  if (fd < 0) return false;
  const ask = (command: number) => sys.call(sys.nr.fcntl, fd, command);
  const [seals, before] = [call.int(2), ask(F_GET_SEALS)];
  const isRefused = (ask(F_GETFL) & O_ACCMODE) === O_RDONLY ||
    (seals & ~F_ALL_SEALS) !== 0 || before < 0 ||
    (before & (F_SEAL_SEAL | F_SEAL_WRITE)) !== 0;
  const isMeant = (seals & F_SEAL_WRITE) !== 0 ||
    (seals & F_SEAL_EXEC) !== 0 && isExecutable(fd);
  sys.close(fd);
  return isMeant && !isRefused;
}

/** Whether a file may be run; what nobody can run any more is not written either. */
function isExecutable(fd: number): boolean {
  return (Deno.statSync(`/proc/self/fd/${fd}`).mode! & 0o111) !== 0;
}

/** The family. */
export const FILE_LENGTH_CALLS: readonly NotifiedCall[] = [
  { name: "ftruncate", handle: ftruncate },
  { name: "truncate", handle: truncate },
  { name: "fallocate", handle: fallocate },
  {
    name: "fcntl",
    when: [{ argument: 1, test: "equals", value: F_ADD_SEALS }],
    handle: addSeals,
  },
];
