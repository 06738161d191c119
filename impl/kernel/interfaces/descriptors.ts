// SPDX-License-Identifier: GPL-2.0-only

/**
 * A task's descriptors as the rest of the kernel sees them.
 *
 * @module
 */

import type { File } from "../files/file.ts";

/**
 * Open files by descriptor (Linux: struct files_struct). `FdTable` is one of a
 * simulated program; that of a real process is the host's, where other threads
 * take descriptors at any time.
 */
export interface Descriptors extends Iterable<[fd: number, file: File]> {
  /** The file behind a descriptor, no reference taken; undefined if it is not open. */
  get(fd: number): File | undefined;
  /** As {@link get}; throws EBADF if it is not open. */
  lookup(fd: number): File;

  /** Throws EMFILE if all descriptors below `limit` are taken. (Linux: get_unused_fd_flags, as far as it fails.) */
  checkFree(limit: bigint): void;
  /**
   * Puts `file` at the lowest free descriptor, which takes over the caller's
   * reference; exec closes it if `closeOnExec`. Throws EMFILE, the reference
   * kept.
   */
  install(file: File, limit: bigint, closeOnExec?: boolean): number;
  /**
   * As {@link install}, which exec closes, after `answer` told the caller the
   * number. Where another thread took that meanwhile, `answer` is called again:
   * the last number is the right one. Throws what `answer` throws, too, the
   * reference kept and nothing installed.
   */
  answerAndInstall(
    file: File,
    limit: bigint,
    answer: (fd: number) => void,
  ): void;

  /** Whether exec closes an open descriptor (Linux: FD_CLOEXEC). */
  closesOnExec(fd: number): boolean;
  /** Says whether exec closes a descriptor. Throws EBADF. */
  setCloseOnExec(fd: number, closes: boolean): void;
  /** Frees a descriptor and drops its reference. Throws EBADF. */
  close(fd: number): void;
  /** Closes everything, lowest descriptor first. */
  closeAll(): void;
}
