// SPDX-License-Identifier: GPL-2.0-only

/**
 * One step of the kernel that fails in a run of programs.
 *
 * @module
 */

import { ioctlName } from "../../conformance/traces/describe_ioctl.ts";
import { FaultInjection } from "../../impl/kernel/fault_injection.ts";
import {
  functionsOfStep,
  type StepName,
} from "../../impl/kernel/fault_steps.ts";
import { errnoName } from "../../impl/uapi/errno.ts";
import type { RevisionName } from "../../impl/uapi/revision.ts";
import type { WatchedCall, Watcher } from "../calls/watcher.ts";
import { ioctlsOf } from "./ioctl_rows.ts";
import { ioctlOf } from "./format_call.ts";

/** A step that a program came to. */
export interface Step {
  /** Its number: 1 for the first that can fail. */
  readonly number: number;
  /** Its name in the model. */
  readonly name: StepName;
  /** The call that it is part of. */
  readonly call: string;
}

/** Counts the steps of all processes together, from the first call on, and makes one fail. */
export class FailingStep implements Watcher {
  /** What the processes share. */
  readonly faults: FaultInjection = new FaultInjection();
  /** The steps that were counted; the last one failed, if any did. */
  readonly steps: Step[] = [];
  readonly #counts: boolean;
  #number = 1;
  #call = "no call";
  /** What the call returned whose step failed; undefined while none did. */
  #result: number | undefined;

  /** Makes the `nth` step of a revision fail; none, but counts them all, if it is infinite. */
  constructor(nth: number, uapi: RevisionName) {
    this.#counts = nth === Infinity;
    this.faults.nth = nth;
    this.faults.onStep = (name) => {
      const functions = functionsOfStep(name, uapi).length;
      if (functions === 0) return;
      this.steps.push({ number: this.#number, name, call: this.#call });
      this.#number += functions;
    };
  }

  enter(call: WatchedCall): void {
    this.#call = nameOf(call);
  }

  leave(_call: WatchedCall, result: number): void {
    if (this.failed !== undefined) this.#result ??= result;
  }

  /** How many steps were counted. */
  get count(): number {
    return this.#number - 1;
  }

  /** The step that failed; undefined while none did. */
  get failed(): Step | undefined {
    return this.#counts || this.faults.nth > 0 ? undefined : this.steps.at(-1);
  }

  /** What came of it: the errno that the call got, or that it went on. */
  get outcome(): string {
    const result = this.#result;
    return result !== undefined && result < 0 ? errnoName(result) : "went on";
  }
}

/** A call in a few words: `openat /dev/iommu`, `IOMMU_IOAS_MAP`. */
function nameOf(call: WatchedCall): string {
  const { name, path } = call;
  if (name === "ioctl") {
    const [fd, cmd] = ioctlOf(call);
    return ioctlName(cmd, ioctlsOf(call.process.files.get(fd)));
  }
  return path === undefined ? name : `${name} ${path}`;
}
