// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where programs come from.
 *
 * @module
 */

import type { Step, StepByStep } from "../../../selftests/target/program.ts";
import type { Model } from "../../../selftests/target/impl_target.ts";
import { reachedBug } from "../compare/known_bugs.ts";
import { generate, type Profile } from "../generate/generate.ts";
import type { Sample } from "./fuzzer.ts";
import { orDefect } from "./on_model.ts";
import { formatSeed, randomOf, type Seed } from "./seed.ts";
import type { Side } from "./side.ts";
import type { Totals } from "./totals.ts";

/** What programs are made for. */
export interface SourceOptions {
  /** The model that says what they come to. */
  readonly model: Model;
  readonly profile: Profile;
  /** Steps of a program. */
  readonly length: number;
  readonly seed: Seed;
  /** Programs at most. */
  readonly count: number;
  /** What the target is: what it can do, and so which bugs it has. */
  readonly target: Pick<Side, "uapi" | "capabilities">;
  readonly totals: Totals;
}

/** Random programs: a function that makes the next one, until there are enough. */
export function randomPrograms(
  options: SourceOptions,
): () => Sample | undefined {
  const { seed: { run, only }, count } = options;
  let index = only ?? 0;
  const end = only === undefined ? count : only + 1;
  return () => index < end ? randomProgram(options, run, index++) : undefined;
}

function randomProgram(
  options: SourceOptions,
  run: number,
  index: number,
): Sample {
  const { model, profile, length, target, totals } = options;
  const reached: Sample["reached"][number][] = [];
  function before(model: Model, run: StepByStep, step: Step): boolean {
    const { needs } = step.call.verb;
    if (needs !== undefined && !target.capabilities.includes(needs)) {
      return false;
    }
    const bug = reachedBug(target, model, run, step);
    if (bug === undefined) return true;
    if (bug.explains === undefined) {
      totals.cut(bug.name);
      return false;
    }
    reached.push({ step: run.outcomes.length, bug });
    return true;
  }
  const generated = () =>
    generate({
      model,
      uapi: target.uapi,
      random: randomOf(run, index),
      length,
      profile,
      before,
    });
  const { program, ...ours } = orDefect(model, generated);
  return { program, ours, seed: formatSeed(run, index), reached };
}
