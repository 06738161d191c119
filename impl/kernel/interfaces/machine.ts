// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a kernel runs on.
 *
 * @module
 */

import type { PagesDifferences } from "../../uapi/revision/pages.ts";
import type { Resolved } from "../../uapi/revision/differences.ts";
import type { CopyStep } from "../fault_steps.ts";
import type { MemoryObject } from "./memory_object.ts";
import type { PhysicalMemory } from "./physical_memory.ts";
import type { ProcessMemory } from "./process_memory.ts";

/** Memory, and how processes get some of it. */
export interface Machine {
  /** All of it. */
  readonly frames: PhysicalMemory;
  /** The memory of a fresh process, empty. `step` is called before each copy of the kernel, and may throw; `pages` is what differs by version. */
  createMm(
    step: CopyStep,
    pages: Resolved<PagesDifferences>,
  ): ProcessMemory;
  /** Memory to share, empty, with one reference: of small pages, or of huge ones of so many bytes. */
  createObject(pageSize?: number): MemoryObject;
}
