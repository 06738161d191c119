// SPDX-License-Identifier: GPL-2.0-only

/**
 * /dev/shm: files of memory with names, in one directory (Linux: mm/shmem.c).
 *
 * @module
 */

import {
  EACCES,
  EINVAL,
  EISDIR,
  ENOENT,
  ENOTDIR,
  EPERM,
} from "../../uapi/errno.ts";
import {
  CAP_DAC_OVERRIDE,
  CAP_FOWNER,
  F_SEAL_SEAL,
  O_ACCMODE,
  O_CREAT,
  O_RDONLY,
  O_TMPFILE,
} from "../../uapi/mman.ts";
import type { Machine } from "../interfaces/machine.ts";
import type { Task } from "../interfaces/task.ts";
import { checkIsThere, type File } from "./file.ts";
import { MemoryFile } from "./memory_file.ts";
import { MemoryInode } from "./memory_inode.ts";

/** Where it is. */
export const TMPFS_PATH = "/dev/shm";

/** A name in the directory. */
interface Entry {
  readonly inode: MemoryInode;
  /** The user that made it; only it may open it, as with the mode 0600. */
  readonly uid: number;
}

/** The directory. A name holds a reference on the pages of its file. */
export class Tmpfs {
  readonly #machine: Machine;
  readonly #entries = new Map<string, Entry>();

  /** Empty. */
  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** The paths of all files. */
  get paths(): string[] {
    return [...this.#entries.keys()].map((name) => `${TMPFS_PATH}/${name}`);
  }

  /**
   * Opens a path below it, `O_*`; undefined for one that is elsewhere. Throws
   * ENOENT, EEXIST, EACCES, EINVAL, EISDIR, ENOTDIR, EPERM.
   */
  open(path: string, task: Task, flags: number): File | undefined {
    if ((flags & O_TMPFILE) === O_TMPFILE) {
      return this.#openUnnamed(path, flags);
    }
    const name = nameIn(path);
    if (name === undefined) return undefined;
    if (name === "") throw EISDIR.because("a directory is not opened here");
    const entry = this.#entries.get(name);
    if (entry !== undefined) {
      checkIsThere(flags);
      checkOwner(entry, task, CAP_DAC_OVERRIDE, EACCES);
      return MemoryFile.open(entry.inode, flags);
    }
    if ((flags & O_CREAT) === 0) throw ENOENT;
    const inode = this.#create();
    this.#entries.set(name, { inode, uid: task.user.uid });
    inode.object.get();
    return new MemoryFile(inode, flags & O_ACCMODE);
  }

  /** Takes a name away; the file goes with the last that has it open. Throws ENOENT, EISDIR, EACCES, EPERM. */
  unlink(path: string, task: Task): void {
    const name = nameIn(path);
    if (name === undefined) throw EPERM.because("only /dev/shm can change");
    // Its own folder is root's.
    if (name === "") throw task.user.uid === 0 ? EISDIR : EACCES;
    const entry = this.#entries.get(name);
    if (entry === undefined) throw ENOENT;
    // Anybody may write the directory, but it is sticky.
    checkOwner(entry, task, CAP_FOWNER, EPERM);
    this.#entries.delete(name);
    entry.inode.object.put();
  }

  #openUnnamed(path: string, flags: number): File | undefined {
    const access = flags & O_ACCMODE;
    if (access === O_RDONLY) throw EINVAL;
    const name = nameIn(path);
    if (name === undefined) return undefined;
    if (name === "") return new MemoryFile(this.#create(), access);
    throw this.#entries.has(name) ? ENOTDIR : ENOENT;
  }

  /** A file, with a reference on its pages for the caller. */
  #create(): MemoryInode {
    const object = this.#machine.createObject(false);
    return new MemoryInode(object, { seals: F_SEAL_SEAL, executable: false });
  }
}

/** The name of a path in the directory, nothing for the directory itself; undefined for a path elsewhere. */
function nameIn(path: string): string | undefined {
  if (path === TMPFS_PATH) return "";
  if (!path.startsWith(`${TMPFS_PATH}/`)) return undefined;
  const name = path.slice(TMPFS_PATH.length + 1);
  if (name.includes("/")) throw ENOENT.because("there are no directories");
  return name;
}

function checkOwner(
  { uid }: Entry,
  task: Task,
  capability: number,
  errno: typeof EPERM,
): void {
  if (task.user.uid !== uid && !task.capable(capability)) throw errno;
}
