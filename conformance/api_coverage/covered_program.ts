// SPDX-License-Identifier: GPL-2.0-only

/**
 * Notes which part of the API a program reached.
 *
 * @module
 */

import {
  type Outcome,
  type Program,
  resolve,
} from "../../selftests/target/program.ts";
import { type Call, isIoctl } from "../../selftests/target/verbs.ts";
import type { Coverage } from "./coverage.ts";
import { type Kind, OpenFiles } from "./open_files.ts";

/** Notes what the steps of a program came to; `container` is what `/dev/vfio/vfio` opens. */
export function noteProgram(
  coverage: Coverage,
  program: Program,
  outcomes: readonly Outcome[],
  container: Kind = "iommufd",
): void {
  const files = new OpenFiles(container);
  for (const [index, step] of program.entries()) {
    const outcome = outcomes[index];
    if (outcome?.kind !== "returned") continue;
    const { result, back } = outcome;
    const call = resolve(step, outcomes);
    if (isIoctl(call)) {
      coverage.note(files, step.process, call, result, back);
    } else {
      files.follow(step.process, withNumbers(call, back), result);
    }
  }
}

/** A call with the numbers in its arguments that came back. */
function withNumbers({ verb, args }: Call, back: Uint8Array): Call {
  if (!verb.args.some(([, kind]) => kind === "numbers")) return { verb, args };
  const numbers = new BigInt64Array(back.slice().buffer);
  return { verb, args: [Array.from(numbers, Number)] };
}
