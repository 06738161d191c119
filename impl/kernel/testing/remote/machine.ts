// SPDX-License-Identifier: GPL-2.0-only

/**
 * A machine whose memory is somewhere else: a second, naive implementation of
 * the interfaces, which has nothing in common with the simulated machine. The
 * selftests run on it to show that nobody asks for more than the interfaces.
 *
 * @module
 */

import type { CopyStep } from "../../fault_steps.ts";
import type { Machine } from "../../interfaces/machine.ts";
import { RemoteFrames } from "./frames.ts";
import { RemoteMemory } from "./memory.ts";
import { RemoteObject } from "./object.ts";

/** See the module. */
export class RemoteMachine implements Machine {
  readonly frames: RemoteFrames = new RemoteFrames();

  createMm(step: CopyStep): RemoteMemory {
    return new RemoteMemory(this.frames, step);
  }

  createObject(pageSize?: number): RemoteObject {
    return new RemoteObject(this.frames, 0, pageSize);
  }
}
