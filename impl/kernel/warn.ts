// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the kernel does about the impossible: Linux's WARN_ON, and an exception
 * for a broken invariant of this model itself.
 *
 * @module
 */

export { KernelBug } from "../lib/kernel_bug.ts";

/** The list of warnings of one kernel. */
export class Warnings {
  /** What was warned about, oldest first. */
  readonly list: string[] = [];

  /**
   * Records `what` if `condition` holds and returns the condition, so that it
   * reads as Linux's `if (WARN_ON(…))`.
   */
  on(condition: boolean, what: string): boolean {
    if (condition) this.list.push(what);
    return condition;
  }
}
