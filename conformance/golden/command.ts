// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the commands of traces do: record them on real kernels, and play them.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import { Masks } from "../fuzz/compare/masks.ts";
import { TargetSide } from "../fuzz/run/target_side.ts";
import { runToExitCode } from "../lib/exit_code.ts";
import type { Host } from "../lib/host.ts";
import { UsageError } from "../lib/usage_error.ts";
import { starting } from "../running/plan.ts";
import type { TargetSpec } from "../targets/target_spec.ts";
import { gather } from "./candidates/gather.ts";
import { loadTraces, RECORDED, saveTraces } from "./files.ts";
import { pairName, pairsReached } from "../api_coverage/measure.ts";
import { knownDifference } from "./differences.ts";
import { coverageOf, measureTraces } from "./measure.ts";
import { type Options, parseOptions } from "./options.ts";
import { play } from "./play.ts";
import { isOfMachine, record } from "./record.ts";
import type { Trace } from "./trace.ts";
import { whyUnreached } from "./unreached.ts";

/** All came to the same. */
const EXIT_OK = 0;
/** Something did not. */
const EXIT_DIFFERENT = 1;

/** Milliseconds that a target has for a program. */
const TIMEOUT_MS = 120_000;

/** The model as both machines that traces are of. */
const MODELS = ["impl:container=iommufd", "impl:container=type1"];

const HELP =
  `Plays what real kernels did on a target, and says what comes to something else.

  deno task traces [--target TARGET]...         default: the model
  deno task traces:record --target TARGET...    records on real kernels instead:
                                                all traces of their revisions anew

  --filter TEXT   only traces with this in their name
  --add           keep the traces of other machines, and record only what they
                  do not reach: on a machine with a device, for instance
  --help, -h      print this

Exit codes: 0 all came to the same; 1 something did not; 2 the command line is
wrong; 3 a target could not be started.
`;

/** What the commands work with. */
export interface Environment {
  /** Where output goes. */
  readonly host: Host;
  /** Reads a target's name. */
  readonly parseTarget: (spec: string) => TargetSpec;
}

/** Runs a command with its arguments; resolves to the exit code. */
export function runTraces(
  args: readonly string[],
  environment: Environment,
): Promise<number> {
  const { host } = environment;
  return runToExitCode(() => {
    const options = parseOptions(args);
    if (!options.help) {
      return (options.record ? recordAll : playAll)(options, environment);
    }
    host.out(HELP);
    return EXIT_OK;
  }, (message) => host.err(`${message}\n`));
}

/** A target in each of its revisions of which there are traces. */
async function* sidesOf(
  names: readonly string[],
  { parseTarget }: Environment,
): AsyncGenerator<TargetSide> {
  for (const spec of names.map(parseTarget)) {
    const offered = await starting(spec, () => spec.revisions());
    const options = { timeoutMs: TIMEOUT_MS };
    for (const uapi of offered.filter((uapi) => RECORDED.includes(uapi))) {
      const side = await starting(
        spec,
        () => TargetSide.open(spec, uapi, options),
      );
      try {
        yield side;
      } finally {
        await side.close();
      }
    }
  }
}

/** Plays all traces on targets. */
async function playAll(
  { targets, filter }: Options,
  environment: Environment,
): Promise<number> {
  const { host } = environment;
  const names = targets.length > 0 ? targets : MODELS;
  let isSame = true;
  let isAny = false;
  for await (const side of sidesOf(names, environment)) {
    const { kernel, traces } = await loadTraces(side.uapi);
    const wanted = traces.filter(({ name }) => name.includes(filter));
    isAny ||= wanted.length > 0;
    const masks = new Masks(side.uapi, side.name);
    const played = await play(wanted, side, masks);
    const { same, calls, different, known, skipped } = played;
    for (const { trace: { name }, text } of different) {
      host.out(`${name}\n  ${text}\n`);
    }
    isSame &&= different.length === 0;
    host.out(
      `${side.name} ${side.uapi}: ${same} of ${
        same + different.length + known.length
      } traces of Linux ${kernel} came to the same, ${calls} calls\n`,
    );
    for (const { name } of known) {
      host.out(`  known: ${name}: ${knownDifference(side.uapi, name)}\n`);
    }
    for (const [what, count] of skipped) {
      host.out(`  ${count} not played: they need ${what}\n`);
    }
  }
  if (!isAny) throw new UsageError(nothingPlayed(filter));
  return isSame ? EXIT_OK : EXIT_DIFFERENT;
}

/** Why there was nothing to play. */
function nothingPlayed(filter: string): string {
  return filter === ""
    ? `There are traces of ${RECORDED.join(" and ")}, which no target is.`
    : `No trace has "${filter}" in its name.`;
}

/** A file that grows. */
interface Editable {
  readonly kernel: string;
  readonly targets: Set<string>;
  traces: Trace[];
}

/** The file of a revision, to add to. */
async function editable(uapi: RevisionName): Promise<Editable> {
  const { kernel, targets, traces } = await loadTraces(uapi);
  return { kernel, targets: new Set(targets), traces: [...traces] };
}

/** The pairs that traces reach. */
function reachedBy(uapi: RevisionName, traces: readonly Trace[]): Set<string> {
  const { reached } = coverageOf(uapi, traces);
  return new Set(pairsReached(reached).map(pairName));
}

/** Records on targets: those of a revision write a file together. */
async function recordAll(
  { targets, add }: Options,
  environment: Environment,
): Promise<number> {
  const { host } = environment;
  const recorded = new Map<RevisionName, Editable>();
  for await (const side of sidesOf(targets, environment)) {
    const { uapi, name, version: kernel } = side;
    const file = recorded.get(uapi) ??
      (add ? await editable(uapi) : { kernel, targets: new Set(), traces: [] });
    recorded.set(uapi, file);
    file.traces = file.traces.filter((trace) => !isOfMachine(trace, side));
    const programs = await gather(side, reachedBy(uapi, file.traces));
    const { traces, left } = await record(side, programs);
    host.out(`${name}: ${traces.length} of ${programs.length} programs\n`);
    for (const why of left) host.out(`  left out: ${why}\n`);
    file.targets.add(name);
    file.traces.push(...traces);
  }
  for (const [uapi, file] of recorded) {
    const targets = [...file.targets];
    const bytes = await saveTraces({ uapi, ...file, targets });
    const { all, reached, missing } = measureTraces(uapi, file.traces);
    host.out(
      `${uapi}: ${bytes} bytes, ${file.traces.length} traces, ${reached} of ${all} pairs that calls bring about\n`,
    );
    for (const pair of missing) {
      const why = whyUnreached(pair) ?? pair.when;
      host.out(`  not reached: ${pairName(pair)}: ${why}\n`);
    }
  }
  return EXIT_OK;
}
