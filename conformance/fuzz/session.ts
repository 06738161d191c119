// SPDX-License-Identifier: GPL-2.0-only

/**
 * A run of the fuzzer: its sides, its programs, and what is told of it.
 *
 * @module
 */

import { REVISION_NAMES, type RevisionName } from "../../impl/uapi/revision.ts";
import { implTarget, Model } from "../../selftests/target/impl_target.ts";
import type { Program } from "../../selftests/target/program.ts";
import { type EndingSignal, exitCodeOf } from "../lib/ending.ts";
import type { Host } from "../lib/host.ts";
import { UsageError } from "../lib/usage_error.ts";
import { starting } from "../running/plan.ts";
import { ProgressLine } from "../running/progress.ts";
import { TargetStartError } from "../targets/test_target.ts";
import type { TargetSpec } from "../targets/target_spec.ts";
import { breaks } from "./compare/known_bugs.ts";
import { Masks } from "./compare/masks.ts";
import { PROFILES } from "./generate/generate.ts";
import { Guide } from "./guide/guide.ts";
import { Scout } from "./guide/scout.ts";
import { isGuided, type Options } from "./options.ts";
import { readCorpus, saveCorpus } from "./run/corpus_file.ts";
import { type Cause, Findings } from "./run/findings.ts";
import {
  byComparison,
  byInvariants,
  fuzz,
  type FuzzerOptions,
} from "./run/fuzzer.ts";
import { givenProgram, readProgram } from "./run/given.ts";
import { type Likeness, likenessOf } from "./machine/likeness.ts";
import { MACHINE, runOnModel } from "./run/on_model.ts";
import { Pool } from "./run/pool.ts";
import { chooseSeed, formatSeed } from "./run/seed.ts";
import type { Side } from "./run/side.ts";
import { randomPrograms } from "./run/source.ts";
import { Totals } from "./run/totals.ts";
import { causeOf } from "./shrink/cause.ts";
import { shrink } from "./shrink/shrink.ts";
import { saveFinding } from "./tell/files.ts";
import { type Finding, tellFinding } from "./tell/finding.ts";
import { formatCause, formatProgress, formatSummary } from "./summary.ts";

/** No finding. */
const EXIT_OK = 0;
/** Findings. */
const EXIT_FINDINGS = 1;
/** The target could not be started again. */
const EXIT_TARGET = 3;

/** Where memory of the model with scattered frames is, decided by this. */
const SCATTERED = 7;

/** What the command works with. */
export interface Environment {
  /** Where output goes. */
  readonly host: Host;
  /** Reads a target's name. */
  readonly parseTarget: (spec: string) => TargetSpec;
  /** Reads a revision's name. */
  readonly parseRevision: (name: string) => RevisionName;
  /** Plays what real kernels did, on a side or on the model as it is; whether all came to the same. */
  readonly playGolden: (side: Side | undefined) => Promise<boolean>;
  /** Milliseconds of a clock. */
  readonly now: () => number;
}

/** The model with its frames scattered, as a target. */
function scatteredModel(revisions: readonly RevisionName[]): TargetSpec {
  const frameOrder = { scattered: SCATTERED };
  return {
    spec: `impl:scattered=${SCATTERED}`,
    inProcess: true,
    revisions: () => Promise.resolve(revisions),
    open: (uapi) => implTarget(uapi, { ...MACHINE, frameOrder }),
  };
}

/** The target, started as often as it is wanted. */
async function openSide(
  options: Options,
  { parseTarget, parseRevision }: Environment,
): Promise<Pool> {
  const spec = options.target === undefined
    ? scatteredModel(REVISION_NAMES)
    : parseTarget(options.target);
  const offered = await starting(spec, () => spec.revisions(options));
  const uapi = options.uapi === undefined
    ? offered.at(-1)!
    : parseRevision(options.uapi);
  if (!offered.includes(uapi)) {
    throw new UsageError(
      `Target "${spec.spec}" is ${offered.join(" or ")}, not ${uapi}.`,
    );
  }
  return await starting(spec, () => Pool.open(spec, uapi, options));
}

/** Runs programs, and tells what they came to; resolves to the exit code. */
export async function runPrograms(
  options: Options,
  environment: Environment,
): Promise<number> {
  const { host, now, playGolden } = environment;
  const side = await openSide(options, environment);
  const { uapi } = side;
  // What is repeated is random.
  const isNew = options.seed === undefined && options.given === undefined;
  const isSame = !isNew || options.onlyInvariants ||
    await playGolden(options.target === undefined ? undefined : side);
  const seed = options.seed ?? chooseSeed();
  const masks = new Masks(uapi, side.name);
  const findings = new Findings((program, difference) =>
    causeOf(program, difference, uapi)
  );
  const totals = new Totals(uapi, now);
  const like = await likenessOf(side);
  const machine = { ...MACHINE, ...like };
  const model = new Model(uapi, machine);
  const progress = new ProgressLine(host.errIsTerminal ? host.err : undefined);
  host.out(
    `fuzz: ${side.name}, uAPI ${uapi}, --seed ${
      formatSeed(seed.run, seed.only)
    }\n`,
  );
  const scout = new Scout({ uapi, machine });
  const guide = isGuided({ ...options, seed })
    ? new Guide({ uapi, length: options.length, scout })
    : undefined;
  const corpus = options.corpus === undefined
    ? []
    : readCorpus(host, options.corpus, uapi);
  const ours = (program: Program) => runOnModel(model, program);
  const { given } = options;
  const program = given && readProgram(host, given, uapi);
  const next = program
    ? givenProgram(program, given.path, ours)
    : randomPrograms({
      model,
      profile: PROFILES[options.profile]!,
      length: options.length,
      seed,
      count: options.count ?? Infinity,
      target: side,
      totals,
      guide,
      corpus,
    });
  const how: FuzzerOptions = {
    next,
    ours,
    sides: [side],
    jobs: options.jobs,
    judge: options.onlyInvariants ? byInvariants : byComparison(masks),
    totals,
    findings,
    shrink: (program, isStill, outcomes) => {
      const shows = async (smaller: Program) =>
        !breaks(side, model, smaller) && await isStill(smaller);
      return shrink(program, shows, { uapi, outcomes });
    },
    onCause: (cause) => {
      progress.clear();
      const finding = findingOf(cause, uapi, like);
      const saved = saveFinding(host, options.out, finding);
      host.out(`${formatCause(cause)}${tellFinding(finding)}${saved}.*\n`);
    },
    onProgram: () => progress.show(formatProgress(totals, findings)),
  };
  const end = now() + (options.timeMs ?? Infinity);
  const ending = await untilEnd(how, host, () => now() >= end);
  progress.clear();
  scout.close();
  await side.close();
  if (options.corpus !== undefined) {
    const kept = [...guide!.programs, ...corpus];
    saveCorpus(host, options.corpus, kept, uapi);
  }
  totals.restarts = side.restarts;
  host.out(formatSummary(totals, masks, findings, guide));
  if (ending.signal) return exitCodeOf(ending.signal);
  if (ending.startError) host.err(`${ending.startError.message}\n`);
  if (findings.all.length > 0 || !isSame) return EXIT_FINDINGS;
  return ending.startError ? EXIT_TARGET : EXIT_OK;
}

/** A cause as it is told. */
function findingOf(
  { cause, found, seed, side, count }: Cause,
  uapi: RevisionName,
  machine: Likeness,
): Finding {
  const names = { ours: "the model", theirs: side };
  return { ...found, uapi, machine, names, seed, cause, count };
}

/** What ended a run before its time. */
interface Ending {
  readonly signal?: EndingSignal | undefined;
  readonly startError?: TargetStartError;
}

/** Runs programs until their end, a signal, or until the target does not start again. */
async function untilEnd(
  how: FuzzerOptions,
  host: Host,
  isLate: () => boolean,
): Promise<Ending> {
  let signal: EndingSignal | undefined;
  const forget = host.onSignal((which) => signal = which);
  try {
    await fuzz(how, () => signal !== undefined || isLate());
    return { signal };
  } catch (error) {
    if (!(error instanceof TargetStartError)) throw error;
    return { signal, startError: error };
  } finally {
    forget();
  }
}
