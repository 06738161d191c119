// SPDX-License-Identifier: GPL-2.0-only

/**
 * Plays traces on a target, and compares what they come to there.
 *
 * @module
 */

import { compare } from "../fuzz/compare/compare.ts";
import type { Masks } from "../fuzz/compare/masks.ts";
import { isFailure, type Side } from "../fuzz/run/side.ts";
import { withoutChoices } from "./machine/choices.ts";
import { knownDifference } from "./differences.ts";
import { FILE_NAMES, namesOf, renamed } from "../fuzz/machine/names.ts";
import type { Trace } from "./trace.ts";

/** How traces went. */
export interface Played {
  /** Those that came to the same. */
  same: number;
  /** Calls of all that ran. */
  calls: number;
  /** Those that did not, and what differed first. */
  readonly different: { readonly trace: Trace; readonly text: string }[];
  /** Those of which that is known. */
  readonly known: Trace[];
  /** Those that the target cannot run, counted by what it lacks. */
  readonly skipped: Map<string, number>;
}

/** Plays traces, one after the other. */
export async function play(
  traces: readonly Trace[],
  side: Side,
  masks: Masks,
): Promise<Played> {
  const played: Played = {
    same: 0,
    calls: 0,
    different: [],
    known: [],
    skipped: new Map(),
  };
  const names = await namesOf(side);
  const runs = traces.filter((trace) => {
    const lacks = trace.needs.filter((need) =>
      !side.capabilities.includes(need)
    );
    if (lacks.length === 0) return true;
    const what = lacks.join(", ");
    played.skipped.set(what, (played.skipped.get(what) ?? 0) + 1);
    return false;
  }).map((trace) => {
    const program = renamed(trace.program, FILE_NAMES, names);
    return { trace, ran: side.run(program) };
  });
  for (const { trace, ran } of runs) {
    const { program } = trace;
    const theirs = await ran;
    played.calls += program.length;
    const text = isFailure(theirs)
      ? theirs.message
      : compare(program, trace, withoutChoices(program, theirs), masks)?.text;
    if (text === undefined) played.same++;
    else if (knownDifference(side.uapi, trace.name)) played.known.push(trace);
    else played.different.push({ trace, text });
  }
  return played;
}
