// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where programs come from.
 *
 * @module
 */

import type {
  Program,
  Step,
  StepByStep,
} from "../../../selftests/target/program.ts";
import { isPipe } from "../../../impl/kernel/files/pipe.ts";
import { RLIMIT_NOFILE } from "../../../impl/uapi/mman.ts";
import type { Model } from "../../../selftests/target/impl_target.ts";
import {
  isFatal,
  type Reach,
  reachedBugs,
  reachesOf,
} from "../compare/known_bugs.ts";
import { generate, type Profile } from "../generate/generate.ts";
import type { Guide } from "../guide/guide.ts";
import { runMutant } from "../guide/run_mutant.ts";
import type { Sample } from "./fuzzer.ts";
import { formatSeed, formatSeedUpTo, randomOf, type Seed } from "./seed.ts";
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
  /** What the target is: what it can do, and so which bugs it has, and which choices. */
  readonly target:
    & Pick<Side, "uapi" | "capabilities">
    & Partial<Pick<Side, "name">>;
  readonly totals: Totals;
  /** Keeps what reached something new, and changes it; undefined for new programs only. */
  readonly guide?: Guide | undefined;
  /** Whether each program gets a machine of its own that is the model's; default false. */
  readonly isAlone?: boolean;
  /** Programs that are run first; what was not reached yet is left in it. */
  readonly corpus?: Program[];
}

/** Random programs: a function that makes the next one, until there are enough. */
export function randomPrograms(
  options: SourceOptions,
): () => Promise<Sample | undefined> {
  const { seed: { run, only }, count, guide, corpus = [] } = options;
  const reaches = reachesOf(options.target);
  let index = only ?? 0;
  let number = 0;
  const end = only === undefined ? count : only + 1;
  return async () => {
    const kept = corpus.shift();
    if (kept === undefined && index === end) return undefined;
    const sample = kept === undefined
      ? randomProgram(options, reaches, run, index++)
      : keptProgram(options, reaches, kept, `corpus-${++number}`);
    await guide?.ran(sample.program, sample.ours.outcomes);
    return sample;
  };
}

/** What an agent of Linux does with a file of its own: the process must be able to open one. */
const BY_FILES = new Set(["vmstatus", "failnth", "failnthleft"]);
/** A process that may have no more has perhaps none left. */
const FEW_FILES = 64n;

/** True if a step cannot be carried out as its process may not open another file. */
function needsDescriptor(model: Model, run: StepByStep, step: Step): boolean {
  if (!BY_FILES.has(step.call.verb.name)) return false;
  const { number } = run.resolved(step) ?? {};
  return number !== undefined &&
    model.process(number).rlimit(RLIMIT_NOFILE) < FEW_FILES;
}

/** True if a step opens an end of a pipe anew, which may wait on Linux, and which the model does not. */
function reopensPipe(model: Model, run: StepByStep, step: Step): boolean {
  const [path] = step.call.args;
  if (step.call.verb.name !== "open" || typeof path !== "string") return false;
  const fd = /^\/proc\/self\/fd\/(\d+)$/.exec(path)?.[1];
  const number = run.numberOf(step.process);
  if (fd === undefined || number === undefined) return false;
  return isPipe(model.process(number).files.get(Number(fd)));
}

/** Leaves out steps that a target cannot carry out or would not survive; notes in `reached` which bugs others meet. */
function careful(
  { target, totals }: SourceOptions,
  reaches: readonly Reach[],
  reached: Sample["reached"][number][],
): (model: Model, run: StepByStep, step: Step) => boolean {
  return (model, run, step) => {
    const { needs } = step.call.verb;
    if (needs !== undefined && !target.capabilities.includes(needs)) {
      return false;
    }
    if (needsDescriptor(model, run, step)) return false;
    if (reopensPipe(model, run, step)) return false;
    const bugs = reachedBugs(reaches, model, run, step);
    const fatal = bugs.find(isFatal);
    if (fatal !== undefined) {
      totals.cut(fatal.name);
      return false;
    }
    const at = run.outcomes.length;
    for (const bug of bugs) reached.push({ step: at, bug });
    return true;
  };
}

/** A program that was kept by an earlier run. */
function keptProgram(
  options: SourceOptions,
  reaches: readonly Reach[],
  kept: Program,
  seed: string,
): Sample {
  const { model, target: { uapi } } = options;
  const reached: Sample["reached"][number][] = [];
  const before = careful(options, reaches, reached);
  const { program, ...ours } = runMutant(kept, { model, uapi, before });
  return { program, ours, seed, reached };
}

function randomProgram(
  options: SourceOptions,
  reaches: readonly Reach[],
  run: number,
  index: number,
): Sample {
  const { model, profile, length, target, guide, isAlone } = options;
  const reached: Sample["reached"][number][] = [];
  const before = careful(options, reaches, reached);
  const random = randomOf(run, index);
  const { mutant, start } = guide?.next(random) ?? {};
  const { uapi } = target;
  const { program, ...ours } = mutant
    ? runMutant(mutant, { model, uapi, before })
    : generate({
      model,
      uapi,
      random,
      length,
      profile,
      number: index,
      before,
      isAlone,
      ...start && { start },
    });
  // What is made of a program that was kept depends on those before it.
  const seed = mutant ?? start
    ? formatSeedUpTo(run, index)
    : formatSeed(run, index);
  return { program, ours, seed, reached };
}
