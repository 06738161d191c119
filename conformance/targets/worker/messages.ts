// SPDX-License-Identifier: GPL-2.0-only

/**
 * What goes between a run and the worker that has its target.
 *
 * @module
 */

import {
  MemoryFault,
  ProcessDied,
  ProtocolError,
  TargetFailure,
  type TargetFailureStatus,
  type TargetInfo,
} from "../../../selftests/target/target.ts";
import type { Argument } from "../../../selftests/target/verbs.ts";

/** What can be asked of a target, but for its end. */
export type Method = "spawn" | "make" | "time" | "reset" | "program";

/** A call of a method, or the first message: the module to take. */
export type ToWorker =
  | { readonly module: string }
  | { readonly method: Method; readonly args: readonly unknown[] };

/** What a target is apart from what it does. */
export interface Started {
  readonly info: TargetInfo;
  /** It carries programs out. */
  readonly program: boolean;
}

/** An answer. They come in the order of the questions. */
export type FromWorker =
  | {
    /** What the method came to, or {@link Started}. */
    readonly value: unknown;
    /** The arguments of calls as they are afterwards. */
    readonly written?: readonly (readonly Argument[])[];
  }
  | { readonly failure: SentFailure };

/** An error, as it is sent. */
export interface SentFailure {
  readonly name: string;
  readonly message: string;
  readonly status?: TargetFailureStatus;
  readonly reason?: string;
}

/** The kinds of failures that are told apart. */
const KINDS = { MemoryFault, ProcessDied, ProtocolError };

/** An error, to be sent. */
export function sendFailure(error: unknown): SentFailure {
  if (error instanceof TargetFailure) {
    const { name, message, status, reason } = error;
    return { name, message, status, reason };
  }
  const { name, message } = error instanceof Error
    ? error
    : new Error(String(error));
  return { name, message };
}

/** The error that was sent. */
export function receiveFailure(
  { name, message, status, reason }: SentFailure,
): Error {
  if (status === undefined) return Object.assign(new Error(message), { name });
  if (Object.hasOwn(KINDS, name)) {
    return new KINDS[name as keyof typeof KINDS](message, reason);
  }
  return new TargetFailure(status, message, reason);
}
