// SPDX-License-Identifier: GPL-2.0-only

/**
 * Makes each step of a system call fail in turn, for the unit tests of this
 * folder.
 *
 * @module
 */

import { MAP_ANONYMOUS, MAP_PRIVATE, PAGE_SIZE } from "../../uapi/mman.ts";
import { PROT_READ, PROT_WRITE } from "../../uapi/mman.ts";
import { KernelCore } from "../core.ts";
import { File } from "../files/file.ts";
import type { Process } from "../simulated/process.ts";

/** What {@link sweepSteps} runs inside a system call. */
export type Steps = (kernel: KernelCore, caller: {
  /** The process that calls. */
  readonly process: Process;
  /** A page of its memory. */
  readonly address: number;
}) => void;

/** A file whose ioctl does something. */
class Caller extends File {
  readonly #run: () => void;

  constructor(run: () => void) {
    super();
    this.#run = run;
  }

  override ioctl(): number {
    this.#run();
    return 0;
  }
}

/** What a call returns when each of its steps in turn fails, and at last when none does. */
export function sweepCall(process: Process, call: () => number): number[] {
  const results: number[] = [];
  do {
    process.setFailNth(results.length + 1);
    results.push(call());
  } while (process.failNthLeft() === 0);
  process.setFailNth(0);
  return results;
}

/** {@link sweepCall} of a system call that runs `steps`. */
export function sweepSteps(steps: Steps): number[] {
  const kernel = new KernelCore({ memory: 2 ** 22 });
  const process = kernel.spawn();
  const address = process.mmap(
    0,
    PAGE_SIZE,
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE | MAP_ANONYMOUS,
  );
  kernel.registerDevice(
    "/dev/test",
    () => new Caller(() => steps(kernel, { process, address })),
  );
  const fd = process.open("/dev/test");
  return sweepCall(process, () => process.ioctl(fd, 0));
}
