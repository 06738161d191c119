// SPDX-License-Identifier: GPL-2.0-only

/**
 * A program that runs on a model.
 *
 * @module
 */

import type { Kernel } from "../../impl/kernel.ts";
import type { FaultInjection } from "../../impl/kernel/fault_injection.ts";
import type { Watcher } from "../calls/watcher.ts";
import type { ProgramStatus } from "../watch/status.ts";

/** Where a standard stream of a program leads: where that of this process does, to this process, or nowhere. */
export type Stdio = "inherit" | "piped" | "null";

/** How a program is started. What is left out is as this process has it. */
export interface StartOptions {
  /** The machine that it meets: `hostKernel()` makes one. */
  readonly kernel?: Kernel;
  /** Its working folder. */
  readonly cwd?: string;
  /** Its environment, beside that of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Leaves out the environment of this process. */
  readonly clearEnv?: boolean;
  /** Its standard input; default `null`. */
  readonly stdin?: Stdio;
  /** Its standard output; default `inherit`. */
  readonly stdout?: Stdio;
  /** Its standard error; default `inherit`. */
  readonly stderr?: Stdio;
  /** The user that the model believes it to be: root with all capabilities, others with none; default the truth. */
  readonly uid?: number | undefined;
  /** RLIMIT_MEMLOCK as the model sees it, bytes; default the truth. */
  readonly memlock?: bigint | undefined;
  /** Milliseconds that devices pause at most before they look again at what programs stored in memory that is mapped; 0 for none, default 4. */
  readonly pollMs?: number | undefined;
  /** Traps each store to a mapped BAR, whatever the device is, so that it is seen at once and in order; default where a device has to see each. */
  readonly trapsStores?: boolean | undefined;
  /** Which step of the kernel fails, counted over all its processes. */
  readonly faults?: FaultInjection;
  /** Who watches its calls. */
  readonly watcher?: Watcher;
}

/** A program that was started. */
export interface RunningProgram {
  /** Its process id. */
  readonly pid: number;
  /** The machine that it meets. */
  readonly kernel: Kernel;
  /** How it ended, when it and all its children are gone and their files are released. */
  readonly status: Promise<ProgramStatus>;
  /** What it reads. Throws a TypeError unless that is piped. */
  readonly stdin: WritableStream<Uint8Array>;
  /** What it writes. Throws a TypeError unless that is piped. */
  readonly stdout: ReadableStream<Uint8Array>;
  /** What it complains of. Throws a TypeError unless that is piped. */
  readonly stderr: ReadableStream<Uint8Array>;
  /** What people should be told of it, a sentence each. */
  readonly complaints: readonly string[];
  /** Sends it a signal; default SIGTERM. */
  kill(signal?: Deno.Signal): void;
}

/** A program that cannot be run. */
export class CannotRun extends Error {
  /** Name of the class. */
  override name = "CannotRun";
  /** The exit status that shells and `env` have for it: 125 the host cannot, 126 it is not executable, 127 there is none. */
  readonly code: 125 | 126 | 127;

  /** Says why. */
  constructor(code: 125 | 126 | 127, message: string) {
    super(message);
    this.code = code;
  }
}

/** Starts a program. Throws a {@link CannotRun}. */
export type Start = (
  program: string,
  args: readonly string[],
  options: StartOptions,
) => RunningProgram | Promise<RunningProgram>;
