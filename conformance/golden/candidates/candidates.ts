// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs that traces can be made of: what the suite's tests do, random ones,
 * and those that were written by hand. The model says what each would reach.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import { allTests } from "../../../selftests/all.ts";
import type { Test } from "../../../selftests/harness/harness.ts";
import {
  type ImplOptions,
  Model,
} from "../../../selftests/target/impl_target.ts";
import type {
  Outcome,
  Program,
  Step,
  StepByStep,
} from "../../../selftests/target/program.ts";
import type { TargetInfo } from "../../../selftests/target/target.ts";
import { OK } from "../../api_coverage/coverage.ts";
import { Coverage } from "../../api_coverage/coverage.ts";
import { noteProgram } from "../../api_coverage/covered_program.ts";
import { reachedBugs, reachesOf } from "../../fuzz/compare/known_bugs.ts";
import { generate, PROFILES } from "../../fuzz/generate/generate.ts";
import { runOnModel } from "../../fuzz/run/on_model.ts";
import { formatSeed, randomOf } from "../../fuzz/run/seed.ts";
import { runTest } from "../../running/run_one.ts";
import { ProgramRecorder } from "./program_recorder.ts";
import { writtenPrograms } from "./written.ts";

/** A program that a trace can be made of. */
export interface Candidate {
  /** Where it is from. */
  readonly name: string;
  readonly program: Program;
  /** What it reaches, by the model: pairs, fields' values, other calls' results. */
  readonly keys: ReadonlySet<string>;
}

/** What candidates are made for: what a target says about itself. */
export type Machine =
  & { readonly uapi: RevisionName }
  & Pick<TargetInfo, "capabilities">;

/** Tests of what is not the same on every card: registers, what its configuration space holds, and when its DMA and its events come. */
const OF_THE_CARD = [
  "kit_vfio_region.position",
  "kit_vfio_region.memory_off",
  "kit_vfio_config.length",
  "kit_vfio_config.bars",
  "kit_vfio_config.master_is_off_at_open",
  "kit_vfio_config.function_reset",
  "kit_vfio_dma.copy",
  "kit_vfio_dma.blocked",
  "kit_vfio_dma.read_only",
  "kit_vfio_dma.write_only",
  "kit_vfio_dma.reset",
  "kit_vfio_dma.detached",
  "kit_vfio_dma.message",
  "kit_vfio_dma.unmapped",
  "kit_vfio_group.device",
  "kit_vfio_feature.low_power",
  "kit_vfio_feature.wakeup",
];

/** Tests in whose answers is where memory is: that of a process, or frames that follow each other or do not. */
const BY_PLACE = [
  /\.page_boundary$/,
  /\.chosen_iova(?!_errno)/,
  /\.reserved_overflow$/,
  /^kit_dmabuf\..*\.(largest|domain_before)$/,
  /^kit_exec\.capabilities_of_others$/,
  /^kit_user_memory\.huge_hole$/,
];

/** Steps of a test that is still worth a trace. */
const MAX_STEPS = 2100;
/** Random programs of each profile, and their steps. */
const RANDOM = 80;
const LENGTH = 60;
/** The seed of all of them. */
const SEED = 12;

/** Bytes of memory that random programs need. */
const LITTLE = 64 * 2 ** 20;

/** The model that is like a machine. */
function modelOf(
  { uapi, capabilities }: Machine,
  memory?: number,
): Model {
  const options: ImplOptions = {
    hasOnlyCard: true,
    ...memory !== undefined && { memory },
    container: capabilities.includes("type1_container") ? "type1" : "iommufd",
  };
  return new Model(uapi, options);
}

/** What a program reached. */
function keysOf(
  program: Program,
  outcomes: readonly Outcome[],
  { uapi, capabilities }: Machine,
): Set<string> {
  const coverage = new Coverage(uapi);
  const isOwn = capabilities.includes("type1_container");
  noteProgram(coverage, program, outcomes, isOwn ? "container" : "iommufd");
  const keys = new Set<string>();
  for (const { file, name, results, fields } of coverage.reached) {
    for (const result of results.keys()) keys.add(`${file} ${name} ${result}`);
    for (const [field, values] of fields) {
      for (const [value, { ok, refused }] of values) {
        if (ok > 0) keys.add(`${file} ${name} ${field} ${value} ${OK}`);
        if (refused > 0) keys.add(`${file} ${name} ${field} ${value}`);
      }
    }
  }
  for (const [index, { call }] of program.entries()) {
    const outcome = outcomes[index]!;
    const result = outcome.kind === "returned"
      ? Math.min(outcome.result, 0)
      : outcome.kind;
    keys.add(`${call.verb.name} ${result}`);
  }
  return keys;
}

/** What those of the tests do that a machine can run. */
export async function testCandidates(
  machine: Machine,
  tests: readonly Test[] = allTests(machine.uapi),
): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const test of tests) {
    const candidate = await programOf(test, machine);
    if (candidate) found.push(candidate);
  }
  return found;
}

/** What a test does; undefined where it does not run, or does too much. */
async function programOf(
  test: Test,
  machine: Machine,
): Promise<Candidate | undefined> {
  const model = modelOf(machine);
  const info = { ...model.info, capabilities: machine.capabilities };
  const recorder = new ProgramRecorder(model, info);
  const { status } = await runTest(test, recorder);
  const { recorded: program, outcomes } = recorder;
  const isFit = status === "pass" && program.length > 0 &&
    // How many steps there are can depend on what the machine did before.
    !test.needs.includes("fail_nth") &&
    // What virtual functions are called is the machine's own.
    !test.needs.includes("vfio_sriov") &&
    !OF_THE_CARD.includes(test.id) &&
    !BY_PLACE.some((place) => place.test(test.id)) &&
    program.length <= MAX_STEPS;
  if (!isFit) return undefined;
  return { name: test.id, program, keys: keysOf(program, outcomes, machine) };
}

/** Those that were written. */
export function writtenCandidates(machine: Machine): Candidate[] {
  const model = modelOf(machine, LITTLE);
  const { uapi, capabilities } = machine;
  return writtenPrograms(uapi, capabilities).map(({ name, program }) => {
    const { outcomes } = runOnModel(model, program);
    return { name, program, keys: keysOf(program, outcomes, machine) };
  });
}

/** Random programs that reach no known bug of Linux. */
export function randomCandidates(machine: Machine): Candidate[] {
  const model = modelOf(machine, LITTLE);
  const reaches = reachesOf(machine);
  const before = (model: Model, run: StepByStep, step: Step): boolean => {
    const { needs } = step.call.verb;
    return (needs === undefined || machine.capabilities.includes(needs)) &&
      reachedBugs(reaches, model, run, step).length === 0;
  };
  const candidates: Candidate[] = [];
  for (const [name, profile] of Object.entries(PROFILES)) {
    // As of tests.
    if (name === "fail_nth") continue;
    for (let index = 0; index < RANDOM; index++) {
      const random = randomOf(SEED, index);
      const options = { model, uapi: machine.uapi, profile, before, random };
      const { program, outcomes, problems } = generate({
        ...options,
        length: LENGTH,
      });
      if (problems.length > 0) continue;
      candidates.push({
        name: `${name} ${formatSeed(SEED, index)}`,
        program,
        keys: keysOf(program, outcomes, machine),
      });
    }
  }
  return candidates;
}
