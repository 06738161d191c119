// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a target does wrong as a target, as opposed to a system call that
 * returns something unexpected.
 *
 * @module
 */

/** How a test ends whose target fails: it died, did not answer, or answered nonsense. */
export type TargetFailureStatus = "crash" | "timeout" | "error";

/**
 * A failure of the target itself. The methods of a target and of its processes
 * reject with it, and the test that ran ends with its status.
 */
export class TargetFailure extends Error {
  /** Names the kind of failure. */
  override name = "TargetFailure";
  /** How the test ends. */
  readonly status: TargetFailureStatus;
  /** What the target itself said about it. */
  readonly reason: string;

  /** `message` is a sentence for a person. */
  constructor(
    status: TargetFailureStatus,
    message: string,
    reason: string = message,
  ) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

/** The test's process ended in the middle of a call; the target goes on. */
export class ProcessDied extends TargetFailure {
  /** Names the kind of failure. */
  override name = "ProcessDied";

  /** `message` says which call, and how the process ended. */
  constructor(message: string, reason?: string) {
    super("crash", message, reason);
  }
}

/** The process may not touch the memory that a peek or poke named; it goes on. */
export class MemoryFault extends TargetFailure {
  /** Names the kind of failure. */
  override name = "MemoryFault";

  /** `message` names the memory. */
  constructor(message: string) {
    super("error", message);
  }
}

/** An answer that is not what the protocol says. */
export class ProtocolError extends TargetFailure {
  /** Names the kind of failure. */
  override name = "ProtocolError";

  /** `message` says what was wrong with which line. */
  constructor(message: string) {
    super("error", message);
  }
}
