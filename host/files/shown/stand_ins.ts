// SPDX-License-Identifier: GPL-2.0-only

/**
 * Real descriptors for what is only shown. A directory that the host has not is
 * an empty folder that was removed as soon as it was open; a text is a memory
 * file. Such a descriptor behaves in a program as the kernel makes it; what it
 * stands for is told by the name that `/proc/PID/fd` has for it.
 *
 * @module
 */

import { ENFILE, ENOSPC } from "../../../impl/uapi/errno.ts";
import { AT_FDCWD, O_CLOEXEC, OPEN_FLAGS } from "../../sys/structs.ts";
import type { Sys } from "../../sys/sys.ts";

const MFD_CLOEXEC = 1;
/** What the names of memory files that stand for something begin with. */
const MARK = "iommufd-kit:";
/** Most characters of a memory file's name. */
const MAX_NAME = 249;
const O_RDONLY = 0;

/** Makes them, and says what one stands for. */
export class StandIns {
  readonly #sys: Sys;
  /** A descriptor of this process for each directory, by its path. */
  readonly #folders = new Map<string, number>();
  /** The paths that the names of the folders stand for. */
  readonly #paths = new Map<string, string>();

  readonly #folder: string | undefined;

  /** Made with these calls, of folders in `folder`, if not in the usual one. */
  constructor(sys: Sys, folder?: string) {
    this.#sys = sys;
    this.#folder = folder;
  }

  /** Opens the stand-in of a directory. The caller closes it. Throws ENFILE, ENOSPC. */
  openDirectory(path: string): number {
    const fd = this.#folders.get(path) ?? this.#makeFolder(path);
    const { O_DIRECTORY } = OPEN_FLAGS[this.#sys.architecture];
    return this.#reopen(fd, O_RDONLY | O_DIRECTORY);
  }

  /** A path of this process to the stand-in of a directory, which other processes can enter too. */
  pathOfDirectory(path: string): string {
    const fd = this.#folders.get(path) ?? this.#makeFolder(path);
    return `/proc/${Deno.pid}/fd/${fd}`;
  }

  /** Opens a file with a text, to be read. The caller closes it. */
  openText(path: string, text: string | Uint8Array): number {
    const sys = this.#sys;
    const name = sys.text(`${MARK}${path}`.slice(0, MAX_NAME));
    const fd = opened(sys.call(sys.nr.memfd_create, name, MFD_CLOEXEC));
    try {
      const bytes = typeof text === "string"
        ? new TextEncoder().encode(text)
        : text;
      this.#write(fd, bytes);
      return this.#reopen(fd, O_RDONLY);
    } finally {
      sys.close(fd);
    }
  }

  /** Opens what is nothing but a place. Not with O_PATH: no program can be given such a descriptor. */
  openPlace(path: string): number {
    return this.openText(path, "");
  }

  /** The path of the directory that a descriptor stands for, by its name in `/proc/PID/fd`. */
  directoryNamed(link: string): string | undefined {
    return this.#paths.get(link);
  }

  /** The path of the file that a descriptor stands for, by its name in `/proc/PID/fd`. */
  fileNamed(link: string): string | undefined {
    const match = /^\/memfd:iommufd-kit:(.*) \(deleted\)$/.exec(link);
    return match?.[1];
  }

  /** Closes the descriptors of this process. */
  close(): void {
    for (const fd of this.#folders.values()) this.#sys.close(fd);
    this.#folders.clear();
    this.#paths.clear();
  }

  #makeFolder(path: string): number {
    const sys = this.#sys;
    const { O_DIRECTORY } = OPEN_FLAGS[sys.architecture];
    const temporary = this.#makeTemporary();
    const flags = O_DIRECTORY | O_CLOEXEC;
    const fd = sys.openat(AT_FDCWD, temporary, flags);
    Deno.removeSync(temporary);
    opened(fd);
    this.#folders.set(path, fd);
    const link = sys.readlinkat(AT_FDCWD, `/proc/self/fd/${fd}`);
    this.#paths.set(String(link), path);
    return fd;
  }

  #makeTemporary(): string {
    const dir = this.#folder;
    try {
      const where = dir === undefined ? {} : { dir };
      return Deno.makeTempDirSync({ ...where, prefix: "iommufd-kit-" });
    } catch {
      throw ENOSPC.because("the supervisor can make no temporary folder");
    }
  }

  #reopen(fd: number, flags: number): number {
    const path = `/proc/self/fd/${fd}`;
    return opened(this.#sys.openat(AT_FDCWD, path, flags | O_CLOEXEC));
  }

  #write(fd: number, bytes: Uint8Array): void {
    const sys = this.#sys;
    const block = sys.map(Math.max(bytes.length, 1));
    block.bytes.set(bytes);
    const written = sys.write(fd, block, bytes.length);
    sys.unmap(block.address, block.bytes.length);
    if (written < 0) throw ENOSPC.because("the supervisor has no memory left");
  }
}

/** A descriptor. Throws ENFILE, which the program gets, where the supervisor can have none. */
function opened(fd: number): number {
  if (fd >= 0) return fd;
  throw ENFILE.because("the supervisor can open no more files");
}
