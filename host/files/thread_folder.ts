// SPDX-License-Identifier: GPL-2.0-only

/**
 * A thread's folder of descriptors in /proc: what its descriptors are open to.
 *
 * @module
 */

import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  O_CLOEXEC,
  O_PATH,
  STATX,
} from "../sys/structs.ts";
import type { Block, Sys } from "../sys/sys.ts";

/** statx: the inode's number is enough. */
const STATX_INO = 0x100;
/** statx: the size is enough. */
const STATX_SIZE = 0x200;
/** Bytes for names of a folder at a time. */
const NAMES = 4096;
/** Texts of numbers that are kept are those of lower descriptors. */
const KEPT = 1024;

/** Where the parts of a struct linux_dirent64 are. */
const DIRENT = { length: 16, name: 19 } as const;

/** What an inode is. */
export interface InodeId {
  /** Its number. */
  ino: number;
  /** The device that its file system is on. */
  device: number;
}

/** What all folders need, once for each process of ours. */
class Scratch {
  readonly statx: Block;
  readonly names: Block;
  /** The address of a text of nothing. */
  readonly empty: number;
  readonly #sys: Sys;
  readonly #names: number[] = [];

  constructor(sys: Sys) {
    this.#sys = sys;
    this.statx = sys.alloc(STATX.size);
    this.names = sys.alloc(NAMES);
    this.empty = sys.alloc(1).address;
  }

  /** The address of a number as text. */
  nameOf(fd: number): number {
    if (fd >= KEPT) return this.#sys.text(`${fd}`);
    return this.#names[fd] ??= this.#keep(`${fd}\0`);
  }

  #keep(text: string): number {
    const bytes = new TextEncoder().encode(text);
    const block = this.#sys.alloc(bytes.length);
    block.bytes.set(bytes);
    return block.address;
  }
}

/**
 * The folder of one thread. It is of no use once the thread is gone: whoever
 * has its number then is another.
 */
export class ThreadFolder {
  static #shared: Scratch | undefined;
  readonly #sys: Sys;
  readonly #scratch: Scratch;
  /** The folder of its descriptors. */
  readonly #fd: number;

  private constructor(sys: Sys, fd: number) {
    this.#sys = sys;
    this.#scratch = ThreadFolder.#shared ??= new Scratch(sys);
    this.#fd = fd;
  }

  /** Opens the folder of a thread; a negative errno if there is none. */
  static open(sys: Sys, tid: number): ThreadFolder | number {
    const fd = sys.openat(AT_FDCWD, `/proc/${tid}/fd`, O_PATH | O_CLOEXEC);
    return fd < 0 ? fd : new ThreadFolder(sys, fd);
  }

  /** Stores what a descriptor is open to in `out`; 0, or a negative errno. */
  inodeOf(fd: number, out: InodeId): number {
    const { statx } = this.#scratch;
    const { nr } = this.#sys;
    const name = this.#scratch.nameOf(fd);
    const result = this.#sys
      .call(nr.statx, this.#fd, name, 0, STATX_INO, statx.address);
    if (result === 0) readInode(statx.view, out);
    return result;
  }

  /** How many descriptors are open; 0 before Linux 6.2, which does not say. */
  count(): number {
    const { statx } = this.#scratch;
    const { nr } = this.#sys;
    const empty = this.#scratch.empty;
    const result = this.#sys.call(
      nr.statx,
      this.#fd,
      empty,
      AT_EMPTY_PATH,
      STATX_SIZE,
      statx.address,
    );
    return result === 0 ? statx.view.getUint32(STATX.bytes, true) : 0;
  }

  /** The lowest descriptor that is free. */
  lowestFree(): number {
    let free = 0;
    for (const fd of this.descriptors()) {
      if (fd !== free) break;
      free++;
    }
    return free;
  }

  /** Its open descriptors, in order. */
  *descriptors(): Generator<number, void, undefined> {
    const sys = this.#sys;
    const { names } = this.#scratch;
    const folder = sys.openat(this.#fd, ".", O_CLOEXEC);
    if (folder < 0) return;
    try {
      for (;;) {
        const length = sys
          .call(sys.nr.getdents64, folder, names.address, NAMES);
        if (length <= 0) return;
        // A copy, because who is asked in between may ask another folder.
        yield* numbersIn(names.bytes.slice(0, length));
      }
    } finally {
      sys.close(folder);
    }
  }

  /** Closes it. */
  close(): void {
    this.#sys.close(this.#fd);
  }
}

/** Stores which inode a filled struct statx is about. */
export function readInode(view: DataView, out: InodeId): void {
  out.ino = view.getUint32(STATX.ino, true) +
    view.getUint32(STATX.ino + 4, true) * 2 ** 32;
  out.device = view.getUint32(STATX.devMajor, true) * 2 ** 20 +
    view.getUint32(STATX.devMinor, true);
}

/** The names in a part of a folder that are numbers. */
function* numbersIn(bytes: Uint8Array): Generator<number, void, undefined> {
  const view = new DataView(bytes.buffer);
  const decoder = new TextDecoder();
  for (let at = 0; at < bytes.length;) {
    const end = at + view.getUint16(at + DIRENT.length, true);
    const name = bytes.subarray(at + DIRENT.name, end);
    const text = decoder.decode(name.subarray(0, name.indexOf(0)));
    if (!text.startsWith(".")) yield Number(text);
    at = end;
  }
}
