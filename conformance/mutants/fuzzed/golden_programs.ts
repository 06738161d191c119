// SPDX-License-Identifier: GPL-2.0-only

/**
 * The programs of golden traces, which a mutant is tried with first.
 *
 * @module
 */

import {
  REVISION_NAMES,
  type RevisionName,
} from "../../../impl/uapi/revision.ts";
import type { Need } from "../../../selftests/target/capabilities.ts";
import * as impl from "../../../selftests/target/impl_target.ts";
import type { Program } from "../../../selftests/target/program.ts";
import type { Ran } from "../../fuzz/compare/compare.ts";
import { runOnModel } from "../../fuzz/run/on_model.ts";
import { loadTraces, RECORDED } from "../../golden/files.ts";
import type { Trace, Traces } from "../../golden/trace.ts";
import type { Suspect } from "./events.ts";
import { machineOf, type Memory } from "./pair.ts";

/** The memory of the machine that they are played on: as many bytes as most tests use. */
export const MUCH_MEMORY: Memory = { memory: 2 ** 29 };

/** The recorded revision that is nearest: the same one, or else the next newer one, or the newest. */
function recordedFor(uapi: RevisionName): RevisionName {
  const age = REVISION_NAMES.indexOf(uapi);
  return RECORDED.find((each) => REVISION_NAMES.indexOf(each) >= age) ??
    RECORDED.at(-1)!;
}

const loaded = new Map<RevisionName, Promise<Traces>>();

/** Loads the traces of a recorded revision once. */
function tracesOf(uapi: RevisionName): Promise<Traces> {
  const traces = loaded.get(uapi) ?? loadTraces(uapi);
  loaded.set(uapi, traces);
  return traces;
}

const CONTAINER: Need = "type1_container";
const DEVICE: Need = "vfio_device";

/** The programs that were recorded on machines with the same container, the shortest first: before all others those with a device, if a fault is about devices. */
async function programsFor(
  { uapi, needs, profiles }: Suspect,
): Promise<readonly Program[]> {
  const { traces } = await tracesOf(recordedFor(uapi));
  const isOfDevices = profiles.includes("vfio");
  const isLater = ({ needs }: Trace) =>
    isOfDevices && !needs.includes(DEVICE) ? 1 : 0;
  return traces
    .filter((trace) =>
      trace.needs.includes(CONTAINER) === needs.includes(CONTAINER)
    )
    .sort((a, b) =>
      isLater(a) - isLater(b) || a.program.length - b.program.length
    )
    .map(({ program }) => program);
}

/** A program, and what it comes to on the model as it is. */
export interface GoldenProgram {
  readonly program: Program;
  readonly ours: Ran;
}

const known = new Map<string, GoldenProgram[]>();

/** The programs for a mutant, each with what it comes to: that is the same for all mutants, and found out once. */
export async function* goldenPrograms(
  suspect: Suspect,
): AsyncGenerator<GoldenProgram> {
  const { uapi, needs, profiles } = suspect;
  const key = [uapi, ...needs, ...profiles].join(" ");
  const all = known.get(key) ?? [];
  known.set(key, all);
  yield* all;
  const model = machineOf(impl, suspect, MUCH_MEMORY);
  const programs = await programsFor(suspect);
  for (const program of programs.slice(all.length)) {
    const golden = { program, ours: runOnModel(model, program) };
    all.push(golden);
    yield golden;
  }
}
