// SPDX-License-Identifier: GPL-2.0-only

/**
 * The host's own files, as far as they matter to what a program is shown.
 *
 * @module
 */

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

const RESOLVE_NO_SYMLINKS = 4;
/** Bytes of struct open_how: flags, mode, what to refuse. */
const OPEN_HOW_SIZE = 24;
const ELOOP_CODE = 40;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;

/** Asks the host by system calls of this process. */
export class HostFiles implements HostPaths {
  readonly #sys: Sys;
  readonly #how: Block;
  readonly #stat: Block;

  /** Asks by these calls. */
  constructor(sys: Sys) {
    this.#sys = sys;
    this.#how = sys.alloc(OPEN_HOW_SIZE);
    this.#how.view.setUint32(0, O_PATH | O_CLOEXEC, true);
    this.#how.view.setUint32(16, RESOLVE_NO_SYMLINKS, true);
    this.#stat = sys.alloc(STATX.size);
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
    const stat = this.#statOf(path);
    return stat !== undefined &&
      (stat.getUint16(STATX.mode, true) & S_IFMT) === S_IFDIR;
  }

  /** The device that a path of the host is on; 0:0 if there is no such path. */
  deviceOf(path: string): DeviceNumber {
    const stat = this.#statOf(path);
    return {
      major: stat?.getUint32(STATX.devMajor, true) ?? 0,
      minor: stat?.getUint32(STATX.devMinor, true) ?? 0,
    };
  }

  /** The text of a file; undefined if it cannot be read. */
  read(path: string): string | undefined {
    const text = this.#sys.readFile(AT_FDCWD, path);
    return typeof text === "string" ? text : undefined;
  }

  /** What statx writes, the link itself if it is one. */
  #statOf(path: string): DataView | undefined {
    const sys = this.#sys;
    const { address, view } = this.#stat;
    const result = sys.call(
      sys.nr.statx,
      AT_FDCWD,
      sys.text(path),
      AT_SYMLINK_NOFOLLOW,
      STATX_BASIC_STATS,
      address,
    );
    return result < 0 ? undefined : view;
  }
}
