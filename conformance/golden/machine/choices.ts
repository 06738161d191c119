// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a kernel chooses as it likes, taken out of what a program came to.
 *
 * @module
 */

import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";
import type { Outcome, Program } from "../../../selftests/target/program.ts";
import type { Ran } from "../../fuzz/compare/compare.ts";
import { MASKS } from "../../fuzz/compare/masks.ts";

/** What a program came to, with nothing in the place of what was chosen. */
export function withoutChoices(
  program: Program,
  { outcomes, problems }: Ran,
): Ran {
  return {
    outcomes: outcomes.map((outcome, step) => blank(program, step, outcome)),
    problems,
  };
}

function blank(program: Program, step: number, outcome: Outcome): Outcome {
  if (outcome.kind !== "returned") return outcome;
  let { result } = outcome;
  const back = outcome.back.slice();
  for (const mask of MASKS) {
    const modulo = mask.resultModulo?.(program[step]!.call);
    if (modulo !== undefined && result >= 0) result %= modulo;
    for (const { offset, bytes } of mask.placesIn?.(program, step) ?? []) {
      back.fill(0, offset, offset + bytes);
    }
  }
  if (isAtChosen(program, step) && result >= 0) result %= PAGE_SIZE;
  return { ...outcome, result, back };
}

/** Memory that is to be where other memory was put. */
function isAtChosen(program: Program, step: number): boolean {
  const { call: { verb, args }, patches = [] } = program[step]!;
  if (verb.name !== "mmap" && verb.name !== "mremap") return false;
  return patches.some(({ arg, from }) =>
    typeof args[arg] === "number" && from.field === undefined &&
    program[from.step]?.call.verb.returns === "RET"
  );
}
