// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fault injection: makes the nth fallible step of a process fail, as Linux's
 * `/proc/self/task/TID/fail-nth` does.
 *
 * @module
 */

import { ENOMEM } from "../uapi/errno.ts";

/** Counts down the fallible steps of the kernel. */
export class FaultInjection {
  /** Steps left until one fails: 1 means the next; 0 means off. */
  nth = 0;

  /** True once when the step to fail is reached (Linux: should_fail, iommufd_should_fail). */
  shouldFail(): boolean {
    return this.nth > 0 && --this.nth === 0;
  }

  /** A step that stands for a memory allocation. Throws ENOMEM when it is made to fail. */
  alloc(): void {
    if (this.shouldFail()) throw ENOMEM;
  }
}
