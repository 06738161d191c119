// SPDX-License-Identifier: GPL-2.0-only

/**
 * Records what programs come to on a real kernel.
 *
 * @module
 */

import type { Program } from "../../selftests/target/program.ts";
import type { Need } from "../../selftests/target/capabilities.ts";
import { compare } from "../fuzz/compare/compare.ts";
import { Masks } from "../fuzz/compare/masks.ts";
import { isFailure, type Side } from "../fuzz/run/side.ts";
import type { Candidate } from "./candidates/candidates.ts";
import { withoutChoices } from "./machine/choices.ts";
import { FILE_NAMES, namesOf, renamed } from "../fuzz/machine/names.ts";
import type { Trace } from "./trace.ts";

/** What a machine can be without; the rest every target needs for its traces. */
const MACHINES: readonly Need[] = ["vfio", "type1_container", "vfio_device"];

/** Whether a trace is of a machine that is like another one. */
export function isOfMachine(
  { needs }: Pick<Trace, "needs">,
  { capabilities }: Pick<Side, "capabilities">,
): boolean {
  return MACHINES.every((each) =>
    needs.includes(each) === capabilities.includes(each)
  );
}

/** What was recorded. */
export interface Recorded {
  readonly traces: readonly Trace[];
  /** Programs that came to something else the second time, or at which the target broke, with the reason. */
  readonly left: readonly string[];
}

/** Records programs, each twice: what differs from one time to the next says nothing. */
export async function record(
  side: Side,
  candidates: readonly Candidate[],
): Promise<Recorded> {
  const machine = MACHINES.filter((need) => side.capabilities.includes(need));
  const names = await namesOf(side);
  const traces: Trace[] = [];
  const left: string[] = [];
  for (const { name, program } of candidates) {
    const there = renamed(program, FILE_NAMES, names);
    const runs = await Promise.all([side.run(there), side.run(there)]);
    const [first, second] = runs.flatMap((ran) =>
      isFailure(ran) ? [] : [withoutChoices(program, ran)]
    );
    if (!first || !second) {
      left.push(`${name}: ${runs.find(isFailure)!.message}`);
      continue;
    }
    const masks = new Masks(side.uapi);
    const difference = compare(program, first, second, masks);
    if (difference) {
      left.push(`${name}: not the same each time, ${difference.text}`);
      continue;
    }
    const needs = [...machine, ...needsOf(program)];
    traces.push({ name, needs, program, ...first });
  }
  return { traces, left };
}

/** What the verbs of a program need. */
function needsOf(program: Program): string[] {
  const needs = program.flatMap(({ call: { verb: { needs } } }) => needs ?? []);
  return [...new Set(needs)].sort();
}
