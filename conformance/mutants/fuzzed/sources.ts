// SPDX-License-Identifier: GPL-2.0-only

/**
 * The programs that a mutant is tried with.
 *
 * @module
 */

import { PROFILES } from "../../fuzz/generate/generate.ts";
import { Guide } from "../../fuzz/guide/guide.ts";
import type { Sample } from "../../fuzz/run/fuzzer.ts";
import { randomPrograms } from "../../fuzz/run/source.ts";
import type { Totals } from "../../fuzz/run/totals.ts";
import type { FuzzHow, Suspect } from "./events.ts";
import { goldenPrograms } from "./golden_programs.ts";
import type { Pair } from "./pair.ts";

/** What stands for a profile where a program is that of a golden trace. */
const GOLDEN = "golden";

/** A program, and the profile that made it. */
export interface Profiled {
  readonly profile: string;
  readonly sample: Sample;
}

/** Programs, one after the other. */
export type Source = AsyncGenerator<Profiled, void>;

/** The programs of golden traces. */
export async function* goldenSource(suspect: Suspect): Source {
  let number = 0;
  for await (const golden of goldenPrograms(suspect)) {
    const seed = `${GOLDEN} ${number++}`;
    yield { profile: GOLDEN, sample: { ...golden, seed, reached: [] } };
  }
}

/** Random programs of all profiles in turn, without end. */
export async function* randomSource(
  { uapi, profiles }: Suspect,
  { seed, length }: FuzzHow,
  { model, side }: Pair,
  totals: Totals,
): Source {
  // What programs of one profile reached is changed for the others too.
  const guide = new Guide({ uapi, length });
  const all = profiles.map((profile, i) => ({
    profile,
    next: randomPrograms({
      model,
      profile: PROFILES[profile]!,
      length,
      seed: { run: seed + i, only: undefined },
      count: Infinity,
      target: side,
      isAlone: true,
      totals,
      guide,
    }),
  }));
  for (;;) {
    for (const { profile, next } of all) {
      const sample = (await next())!;
      // What implementations may choose, both choose alike.
      yield { profile, sample: { ...sample, reached: [] } };
    }
  }
}
