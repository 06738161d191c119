// SPDX-License-Identifier: GPL-2.0-only

/**
 * Who makes a system call.
 *
 * @module
 */

import type { User } from "../credentials.ts";
import type { FaultInjection } from "../fault_injection.ts";
import type { Descriptors } from "./descriptors.ts";
import type { Mm } from "./mm.ts";

/**
 * A process as the kernel sees it (Linux: struct task_struct). What a call does
 * with memory, descriptors and limits it does through this.
 */
export interface Task {
  /** Process id. */
  readonly pid: number;
  /** Its memory. */
  readonly mm: Mm;
  /** Its descriptors. */
  readonly files: Descriptors;
  /** The user that it is charged to. */
  readonly user: User;
  /** Which of its fallible kernel steps fails (Linux: task_struct.fail_nth). */
  readonly faults: FaultInjection;
  /** True if it has a capability, `CAP_*` (Linux: capable). */
  capable(capability: number): boolean;
  /** The soft limit of a resource, `RLIMIT_*` (Linux: task_rlimit). Throws EINVAL for what is none. */
  rlimit(resource: number): bigint;
}
