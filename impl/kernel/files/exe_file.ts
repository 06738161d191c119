// SPDX-License-Identifier: GPL-2.0-only

/**
 * /proc/self/exe: a regular file that every process has, opened for reading
 * only, to map its page cache privately.
 *
 * @module
 */

import { EACCES, ENOMEM, ETXTBSY } from "../../uapi/errno.ts";
import { O_RDONLY, PAGE_SIZE } from "../../uapi/mman.ts";
import type { File } from "./file.ts";
import type { Machine } from "../interfaces/machine.ts";
import type { Task } from "../interfaces/task.ts";
import type { MemoryObject } from "../interfaces/memory_object.ts";
import { MemoryFile } from "./memory_file.ts";
import { MemoryInode } from "./memory_inode.ts";

const EXE_PAGES = 16;

/** The executable that all processes of a kernel run. */
export class Executable {
  readonly #machine: Machine;
  /** The page cache; dropped with the last file or mapping. */
  #cache: MemoryObject | undefined;

  /** Nothing is cached before it is opened. */
  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /**
   * Opens it. Throws ETXTBSY unless for reading, as it runs, or EACCES for who
   * may not write it anyway: it is root's; ENOMEM.
   */
  open({ user }: Task, access: number): File {
    if (access !== O_RDONLY) throw user.uid === 0 ? ETXTBSY : EACCES;
    this.#cache = this.#cache?.refs ? this.#cache.get() : this.#load();
    const inode = new MemoryInode(this.#cache, { executable: true });
    return new MemoryFile(inode, O_RDONLY);
  }

  #load(): MemoryObject {
    const object = this.#machine.createObject();
    const bytes = contents();
    if (object.write(0, bytes) === bytes.length) return object;
    object.put();
    throw ENOMEM;
  }
}

/** An ELF magic number, then bytes that differ from page to page. */
function contents(): Uint8Array {
  const bytes = new Uint8Array(EXE_PAGES * PAGE_SIZE);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = i + Math.floor(i / PAGE_SIZE) * 7;
  }
  bytes.set([0x7f, 0x45, 0x4c, 0x46]);
  return bytes;
}
