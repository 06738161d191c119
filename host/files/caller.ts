// SPDX-License-Identifier: GPL-2.0-only

/**
 * Who makes the call that is being answered, as far as descriptors need it.
 *
 * @module
 */

import type { ThreadFolder } from "./thread_folder.ts";

/** A thread in the middle of a system call. */
export interface Caller {
  /** Its number. */
  readonly tid: number;
  /** Whether it is the first of its process: its number is not given anew while that is known. */
  readonly isFirst: boolean;
  /** Its folder in /proc. */
  readonly folder: ThreadFolder;
  /** Its process, as a descriptor. */
  readonly pidfd: number;
  /**
   * Gives it a descriptor of what `fd` of the supervisor is open to; returns
   * the number, or a negative errno.
   */
  addDescriptor(fd: number, closeOnExec: boolean): number;
}
