// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fault injection: makes the nth fallible step of a process fail, as Linux's
 * `/proc/self/task/TID/fail-nth` does.
 *
 * The steps are those of a kernel with CONFIG_FAILSLAB, FAIL_PAGE_ALLOC and
 * FAULT_INJECTION_USERCOPY, at the places and in the order that Linux has them
 * in: allocations by slab, those of several pages, copies between kernel and
 * user (but not of single values, as get_user), and what calls
 * iommufd_should_fail. Left out is what depends on the kernel's past rather
 * than on the call: new pages for a slab, and nodes for the numbers of inodes.
 *
 * The system calls that manage memory count nothing here, nor do page faults:
 * Linux does not count the allocation of a single page either.
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
