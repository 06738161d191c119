// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the kernel does about the impossible: Linux's WARN_ON, and an exception
 * for a broken invariant of this model itself.
 *
 * @module
 */

/** A broken invariant of the model: never the consequence of what a user did. */
export class KernelBug extends Error {
  /** Name of the class. */
  override name = "KernelBug";
}

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
