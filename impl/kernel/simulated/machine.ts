// SPDX-License-Identifier: GPL-2.0-only

/**
 * The machine that is simulated: all its memory is in this program.
 *
 * @module
 */

import type { PagesDifferences } from "../../uapi/revision/pages.ts";
import type { Resolved } from "../../uapi/revision/differences.ts";
import type { CopyStep } from "../fault_steps.ts";
import type { Machine } from "../interfaces/machine.ts";
import { SimulatedMemory } from "./mappings/mmap.ts";
import { type FrameOrder, Frames } from "./pages/frames.ts";
import { SimulatedObject } from "./pages/memory_object.ts";

/** How a simulated machine is made. */
export interface SimulatedMachineOptions {
  /** Bytes of memory, a multiple of 2 MiB; default 4 GiB. */
  readonly memory?: number;
  /** In which order memory is handed out; default ordered. */
  readonly frameOrder?: FrameOrder;
}

/** A machine whose processes are programs of this language. */
export class SimulatedMachine implements Machine {
  /** All its memory. */
  readonly frames: Frames;

  /** Throws a RangeError for memory that it cannot have. */
  constructor(options: SimulatedMachineOptions = {}) {
    this.frames = new Frames(options.memory ?? 2 ** 32, options.frameOrder);
  }

  /** The memory of a fresh process. */
  createMm(
    step: CopyStep,
    pages: Resolved<PagesDifferences>,
  ): SimulatedMemory {
    return new SimulatedMemory(this.frames, pages, step);
  }

  /** Memory to share. */
  createObject(pageSize?: number): SimulatedObject {
    return new SimulatedObject(this.frames, 0, pageSize);
  }
}
