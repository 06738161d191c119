// SPDX-License-Identifier: GPL-2.0-only

/**
 * The boundary between the tests and an implementation of iommufd: a target
 * makes system calls, which are data, for processes.
 *
 * @module
 */

import type { Outcome, Program } from "./program.ts";
import type { Call } from "./verbs.ts";

/** What a target says about itself. */
export interface TargetInfo {
  /** Name of the implementation. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
  /** Revision of the uAPI that it implements: a key of `REVISIONS`, such as `6.12`. */
  readonly uapi: string;
  /** Bytes of a CPU page. */
  readonly pageSize: number;
  /** Bytes of a huge page. */
  readonly hugePageSize: number;
  /** What it can do beyond the plain ioctls, such as `hugetlb`, `fork`, `fail_nth`. */
  readonly capabilities: readonly string[];
  /**
   * The operations of the test ioctl that it has, such as `MOCK_DOMAIN`;
   * absent where that is all of its revision.
   */
  readonly testOps?: readonly string[];
}

/** What {@link TargetProcess.time} measured. */
export interface Timing {
  /** Nanoseconds that all repetitions of a call took together, in the order of the calls. */
  readonly nanoseconds: number[];
  /** What each call returned in the last repetition. */
  readonly results: number[];
}

/** Makes system calls for processes, which it knows by their numbers. */
export interface Caller {
  /**
   * Makes a process with all privileges and memory of its own; its number, from
   * 1. The first one after a reset may say what its test needs: a target that
   * can be one machine or another is then one that has it.
   */
  spawn(needs?: readonly string[]): Promise<number>;
  /**
   * Makes calls of a process in order, all of them whatever those before came
   * to; their results in the same order. What else comes back is written to
   * the arguments. Rejects only when the target itself fails, with a
   * {@link TargetFailure} that says how the test ends.
   */
  make(process: number, calls: readonly Call[]): Promise<number[]>;
  /**
   * Makes a list of calls again and again and takes their times, see
   * {@link TargetProcess.time}; absent where it cannot.
   */
  time?(
    process: number,
    times: number,
    calls: readonly Call[],
  ): Promise<Timing>;
}

/** An implementation under test. */
export interface Target extends Caller {
  /** What it says about itself. */
  readonly info: TargetInfo;
  /**
   * Carries out a program in processes of its own; what each step came to.
   * Absent where it is asked call by call: `runProgram` does either.
   */
  program?(program: Program): Promise<Outcome[]>;
  /**
   * Ends all processes and checks what they left behind. Returns one sentence
   * for each problem: a kernel warning, a pinned page, memory still charged.
   */
  reset(): Promise<string[]>;
  /**
   * What it wrote to its standard error since this was asked last, for a
   * person; a long text may be cut at its beginning. Absent where there is none.
   */
  takeStderr?(): string;
  /** Ends the target, by force if it does not end by itself. Idempotent. */
  close(): Promise<void>;
}

export {
  type Outcome,
  type Patch,
  type Program,
  type Reference,
  runProgram,
  type Step,
} from "./program.ts";
export { TargetProcess } from "./target_process.ts";
export {
  type Argument,
  type ArgumentsFor,
  type ArgumentsOf,
  type ArgumentTypes,
  type Call,
  call,
  type Kind,
  type Verb,
  type VerbName,
  VERBS,
} from "./verbs.ts";
export {
  MemoryFault,
  ProcessDied,
  ProtocolError,
  TargetFailure,
  type TargetFailureStatus,
} from "./target_failure.ts";
