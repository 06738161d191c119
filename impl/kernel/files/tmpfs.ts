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
  CAP_FOWNER,
  F_SEAL_SEAL,
  O_ACCMODE,
  O_CREAT,
  O_DIRECTORY,
  O_RDONLY,
  O_TMPFILE,
  O_TRUNC,
  SEEK_CUR,
  SEEK_SET,
} from "../../uapi/mman.ts";
import type { Machine } from "../interfaces/machine.ts";
import type { Task } from "../interfaces/task.ts";
import { checkIsThere, File } from "./file.ts";
import { MemoryFile } from "./memory_file.ts";
import { MemoryInode } from "./memory_inode.ts";

/** Where it is. */
const TMPFS_PATH = "/dev/shm";

/** The directory as a file: it can be read by no call that there is here (Linux: simple_offset_dir_operations). */
class Directory extends File {
  #position = 0;

  /** Opens it to read. Throws EEXIST, EISDIR for what would change it. */
  static open(flags: number): Directory {
    checkIsThere(flags & ~O_DIRECTORY);
    if ((flags & (O_CREAT | O_TRUNC | O_ACCMODE)) !== O_RDONLY) throw EISDIR;
    return new Directory(O_RDONLY);
  }

  override get hasOffsets(): boolean {
    return true;
  }

  override read(): number {
    throw EISDIR;
  }

  override seek(offset: number, whence: number): number {
    if (whence !== SEEK_SET && whence !== SEEK_CUR) throw EINVAL;
    const to = whence === SEEK_CUR ? this.#position + offset : offset;
    if (to < 0) throw EINVAL;
    return this.#position = to;
  }

  override reopen(_task: Task, flags: number): Directory {
    return Directory.open(flags);
  }
}

/** The directory. A name holds a reference on the pages of its file. */
export class Tmpfs {
  readonly #machine: Machine;
  readonly #entries = new Map<string, MemoryInode>();

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
      return this.#openUnnamed(path, task, flags);
    }
    const name = nameIn(path);
    if (name === undefined) return undefined;
    if (name === "") return Directory.open(flags);
    const entry = this.#entries.get(name);
    if (entry !== undefined) {
      checkIsThere(flags);
      return MemoryFile.open(entry, task, flags);
    }
    if ((flags & O_CREAT) === 0) throw ENOENT;
    const inode = this.#create(task);
    this.#entries.set(name, inode);
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
    if (!entry.isOf(task, CAP_FOWNER)) throw EPERM;
    this.#entries.delete(name);
    entry.object.put();
  }

  #openUnnamed(path: string, task: Task, flags: number): File | undefined {
    const access = flags & O_ACCMODE;
    if (access === O_RDONLY) throw EINVAL;
    const name = nameIn(path);
    if (name === undefined) return undefined;
    if (name === "") return new MemoryFile(this.#create(task), access);
    throw this.#entries.has(name) ? ENOTDIR : ENOENT;
  }

  /** A file, with a reference on its pages for the caller. */
  #create({ user }: Task): MemoryInode {
    const object = this.#machine.createObject();
    const file = { seals: F_SEAL_SEAL, executable: false, owner: user.uid };
    return new MemoryInode(object, file);
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
