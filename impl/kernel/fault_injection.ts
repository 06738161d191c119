// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fault injection: makes the nth fallible step of a process fail, as Linux's
 * `/proc/self/task/TID/fail-nth` does.
 *
 * The steps are those of a kernel with CONFIG_FAILSLAB, FAIL_PAGE_ALLOC and
 * FAULT_INJECTION_USERCOPY, at the places and in the order that Linux has them
 * in: allocations by slab, those of several pages, copies between kernel and
 * user (but not of single values, as get_user), and what calls
 * iommufd_should_fail. fault_steps.ts has their names. Left out is what depends
 * on the kernel's past rather than on the call: new pages for a slab, and nodes
 * for the numbers of inodes.
 *
 * The system calls that manage memory count nothing here, nor do page faults:
 * Linux does not count the allocation of a single page either.
 *
 * @module
 */

import type { Version } from "../uapi/revision/versions.ts";
import { functionsOfStep, type StepName } from "./fault_steps.ts";

/** Counts down the fallible steps of the kernel. */
export class FaultInjection {
  /** Steps left until one fails: 1 means the next; 0 means off. */
  nth = 0;
  /** Told the name of each step that is counted, for tools. */
  onStep: ((name: StepName) => void) | undefined;

  /** Counts a step, as many as it is in a version; true if one of them is the one to fail (Linux: should_fail, iommufd_should_fail). */
  fails(name: StepName, version: Version): boolean {
    if (this.nth === 0) return false;
    this.onStep?.(name);
    const left = this.nth - functionsOfStep(name, version).length;
    this.nth = Math.max(left, 0);
    return left <= 0;
  }
}
