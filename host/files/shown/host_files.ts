// SPDX-License-Identifier: GPL-2.0-only

/**
 * The host's own files, as far as they matter to what a program is shown.
 *
 * @module
 */

import { ENOENT, errnoFromCode } from "../../../impl/uapi/errno.ts";
import {
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  O_PATH,
  STATX,
  STATX_BASIC_STATS,
} from "../../sys/structs.ts";
import type { Block, Sys } from "../../sys/sys.ts";
import type { DeviceNumber } from "./node.ts";
import type { HostPaths } from "./resolve.ts";
import type { Attributes } from "./stat.ts";

const RESOLVE_NO_SYMLINKS = 4;
/** Bytes of struct open_how: flags, mode, what to refuse. */
const OPEN_HOW_SIZE = 24;
const ELOOP_CODE = 40;
/** When a file last changed, in struct statx. */
const MTIME = 0x70;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;

/** Asks the host by system calls of this process. */
export class HostFiles implements HostPaths {
  readonly #sys: Sys;
  readonly #how: Block;
  readonly #statx: Block;

  /** Asks by these calls. */
  constructor(sys: Sys) {
    this.#sys = sys;
    this.#how = sys.alloc(OPEN_HOW_SIZE);
    this.#how.view.setUint32(0, O_PATH | O_CLOEXEC, true);
    this.#how.view.setUint32(16, RESOLVE_NO_SYMLINKS, true);
    this.#statx = sys.alloc(STATX.size);
  }

  readlink(path: string): string | number {
    return this.#sys.readlinkat(AT_FDCWD, path);
  }

  hasLinks(path: string): boolean {
    const sys = this.#sys;
    const { address } = this.#how;
    const text = sys.text(path);
    const fd = sys.call(sys.nr.openat2, AT_FDCWD, text, address, OPEN_HOW_SIZE);
    if (fd >= 0) sys.close(fd);
    return fd === -ELOOP_CODE;
  }

  isDirectory(path: string): boolean {
    if (this.#stat(path) < 0) return false;
    const mode = this.#statx.view.getUint16(STATX.mode, true);
    return (mode & S_IFMT) === S_IFDIR;
  }

  /** What stat tells of a file, or of a link itself. Throws the errno that the host says. */
  attributesOf(path: string): Attributes {
    const result = this.#stat(path);
    if (result < 0) throw errnoFromCode(-result) ?? ENOENT;
    const { view } = this.#statx;
    const long = (at: number) => Number(view.getBigUint64(at, true));
    return {
      on: deviceAt(view, STATX.devMajor),
      ino: long(STATX.ino),
      mode: view.getUint16(STATX.mode, true),
      nlink: view.getUint32(STATX.nlink, true),
      uid: view.getUint32(STATX.uid, true),
      gid: view.getUint32(STATX.gid, true),
      number: deviceAt(view, STATX.rdevMajor),
      size: long(STATX.bytes),
      time: long(MTIME),
    };
  }

  /** The text of a file; undefined if it cannot be read. */
  read(path: string): string | undefined {
    const text = this.#sys.readFile(AT_FDCWD, path);
    return typeof text === "string" ? text : undefined;
  }

  /** Fills the block with what statx tells, of a link itself; returns 0 or a negative errno. */
  #stat(path: string): number {
    const sys = this.#sys;
    return sys.call(
      sys.nr.statx,
      AT_FDCWD,
      sys.text(path),
      AT_SYMLINK_NOFOLLOW,
      STATX_BASIC_STATS,
      this.#statx.address,
    );
  }
}

function deviceAt(view: DataView, at: number): DeviceNumber {
  return {
    major: view.getUint32(at, true),
    minor: view.getUint32(at + 4, true),
  };
}
