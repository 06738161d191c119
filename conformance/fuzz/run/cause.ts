// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which findings are one.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { Program } from "../../../selftests/target/program.ts";
import { type Difference, stepName } from "../compare/compare.ts";

/** Names the cause of a difference: what is called, what differs, and how. */
export function causeIn(
  uapi: RevisionName,
): (program: Program, difference: Difference) => string {
  return (program, { step, what, ours, theirs }) => {
    const name = step === undefined ? "" : `${stepName(program[step]!, uapi)} `;
    const isNumber = what === "bytes" || what === "read" || what === "result";
    return `${name}${what}${isNumber ? "" : ` ${ours}/${theirs}`}`;
  };
}
