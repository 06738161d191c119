// SPDX-License-Identifier: GPL-2.0-only

/**
 * What programs run on. A side never throws for what an implementation does:
 * it says it.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { Program } from "../../../selftests/target/program.ts";
import type { Ran } from "../compare/compare.ts";

/** A side that did not get through a program. */
export interface Failure {
  /** How: it died, did not answer, answered nonsense, or did not start. */
  readonly failed: "crash" | "timeout" | "error" | "start";
  /** A sentence of what happened. */
  readonly message: string;
  /** What it wrote to its standard error. */
  readonly stderr?: string;
}

/** What programs run on. */
export interface Side {
  /** What people call it. */
  readonly name: string;
  /** The revision that it implements. */
  readonly uapi: RevisionName;
  /** What it can do beyond the plain ioctls. */
  readonly capabilities: readonly string[];
  /**
   * Runs a program in processes of its own, and ends them. Several may be asked
   * for at once: they begin in this order.
   */
  run(program: Program): Promise<Ran | Failure>;
  /** Ends it. */
  close(): Promise<void>;
}

/** True if a side did not get through. */
export function isFailure(ran: Ran | Failure): ran is Failure {
  return "failed" in ran;
}
