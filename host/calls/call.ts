// SPDX-License-Identifier: GPL-2.0-only

/**
 * A system call of a program, as it is handed to who answers it.
 *
 * @module
 */

import type { Kernel } from "../../impl/kernel.ts";
import type { DeviceMappings } from "../files/device_mappings.ts";
import type { EmulatedFiles } from "../files/emulated.ts";
import type { Shown } from "../files/shown/shown.ts";
import type { HostMachine } from "../memory/machine.ts";
import type { SyscallName } from "../sys/numbers.ts";
import type { Sys } from "../sys/sys.ts";
import type { HostProcess } from "./process.ts";
import type { Traps } from "./traps/traps.ts";
import type { Watcher } from "./watcher.ts";

/** An answer: the kernel of the host makes the call itself. */
export const CONTINUE: unique symbol = Symbol("continue");

/** What a call returns, a negative errno included, or that the host's kernel makes it. */
export type Answer = number | typeof CONTINUE;

/**
 * A condition on the lower 32 bits of an argument, with a mask put on them
 * first. The filter checks it, so that other calls cost nothing.
 */
export interface Condition {
  /** Which argument, from 0 on. */
  readonly argument: number;
  /** Bits that are looked at; default all. */
  readonly mask?: number;
  /** How they compare with `value`, without signs; `anyBit` is whether one of its bits is set. */
  readonly test: "equals" | "above" | "anyBit";
  /** What they are compared with. */
  readonly value: number;
}

/** One kind of call that programs do not make without the supervisor being asked. */
export interface NotifiedCall {
  /** Its name. */
  readonly name: SyscallName;
  /** One of these must hold; default always. */
  readonly when?: readonly Condition[];
  /** Whether its first argument is a descriptor, and it is ours only if that is of a file of the model's. */
  readonly onDescriptor?: true;
  /** Answers it. */
  readonly handle: (call: Call) => Answer;
}

/** What all who answer calls share. */
export interface Host {
  /** System calls of the supervisor. */
  readonly sys: Sys;
  /** What answers. */
  readonly kernel: Kernel;
  /** Whose memory programs have. */
  readonly machine: HostMachine;
  /** The open files that programs hold. */
  readonly files: EmulatedFiles;
  /** What programs have mapped of devices. */
  readonly mapped: DeviceMappings;
  /** Stores that wait until a device has seen them. */
  readonly traps: Traps;
  /** Whether stores to all devices do, not only to those that have to see each. */
  readonly trapsStores: boolean;
  /** What programs are shown besides. */
  readonly shown: Shown;
  /** Who watches. */
  readonly watcher: Watcher;
}

/** One call. Arguments are read when they are asked for. */
export interface Call {
  /** What all who answer calls share. */
  readonly host: Host;
  /** Its name. */
  readonly name: SyscallName;
  /** The thread that makes it. */
  readonly tid: number;
  /** The process of that thread. */
  readonly process: HostProcess;
  /** An argument without a sign, exact below 2^53: an address. */
  arg(index: number): number;
  /** The lower half of an argument, with its sign: an int. */
  int(index: number): number;
  /** All 64 bits of an argument, without a sign. */
  arg64(index: number): bigint;
  /**
   * The next descriptor that is given to the program answers the call with its
   * number, in one step.
   */
  answerWithDescriptor(): void;
  /**
   * Gives the program a descriptor of what `fd` of the supervisor is open to:
   * the lowest free one, which is returned, or a negative errno.
   */
  addDescriptor(fd: number, closeOnExec: boolean): number;
  /** Has the host's kernel make the call now, while its handler goes on. What that returns counts no more. */
  goOn(): void;
}

/** The model answers a call: tells those who watch before and after. */
export function answered(
  call: Call,
  path: string | undefined,
  answer: () => number,
): number {
  const { watcher } = call.host;
  if (watcher.enter === undefined && watcher.leave === undefined) {
    return answer();
  }
  const watched = {
    process: call.process,
    tid: call.tid,
    name: call.name,
    args: [0, 1, 2, 3, 4, 5].map((index) => call.arg(index)),
    path,
  };
  watcher.enter?.(watched);
  const result = answer();
  watcher.leave?.(watched, result);
  return result;
}
