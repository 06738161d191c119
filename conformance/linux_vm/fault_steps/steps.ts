// SPDX-License-Identifier: GPL-2.0-only

/**
 * The steps of Linux that the calls of the sweeps come to: recorded on any
 * target that tells them, and written down as text.
 *
 * @module
 */

import { functionsOfStep } from "../../../impl/kernel/fault_steps.ts";
import { MAP_HUGETLB, MAP_SHARED } from "../../../impl/uapi/mman.ts";
import { type RevisionName, REVISIONS } from "../../../impl/uapi/revision.ts";
import { valueIn } from "../../../impl/uapi/revision/versions.ts";
import {
  runRound,
  type Sequence,
  setUpSweep,
  SWEEP_BUFFER_SIZE,
} from "../../../selftests/harness/fail_nth_sweep.ts";
import type { Context } from "../../../selftests/harness/harness.ts";
import { memfdMmap } from "../../../selftests/ioctls/file_ioctls.ts";
import { SEQUENCES } from "../../../selftests/iommufd/iommufd_fail_nth.ts";
import { SEQUENCES as FILE_SEQUENCES } from "../../../selftests/kit_file/kit_file_fail_nth.ts";
import { SEQUENCES as KIT_SEQUENCES } from "../../../selftests/kit_uapi/kit_fail_nth.ts";
import { Model, targetOf } from "../../../selftests/target/impl_target.ts";
import {
  type Target,
  TargetProcess,
} from "../../../selftests/target/target.ts";

/** More steps than a sequence has. */
const NEVER = 1_000_000;

/** The steps of each sequence in order, as the functions of Linux that they are in. */
export type Steps = Map<string, readonly string[]>;

/** What tells the steps of a process. */
export interface StepRecorder {
  /** From here on its steps are noted. */
  start(process: TargetProcess): Promise<void>;
  /** What was noted. */
  stop(): Promise<string[]>;
}

/** The sequences with the names of their tests. */
function* sequences(uapi: RevisionName): Generator<[string, Sequence]> {
  const fixtures = {
    basic_fail_nth: SEQUENCES,
    kit_fail_nth: KIT_SEQUENCES,
    kit_file_fail_nth: FILE_SEQUENCES,
  };
  for (const [fixture, list] of Object.entries(fixtures)) {
    for (const sequence of list) {
      // Linux puts its pages where earlier ones have left room.
      if (sequence.name === "scattered") continue;
      if (valueIn(uapi, sequence.points) === undefined) continue;
      yield [`${fixture}.${sequence.name}`, sequence];
    }
  }
}

/** Goes through all sequences, in contiguous memory, with steps that count and none that fails. */
export async function recordSteps(
  target: Target,
  recorder: StepRecorder,
): Promise<Steps> {
  const { info } = target;
  const uapi = info.uapi as RevisionName;
  const steps: Steps = new Map();
  for (const [name, sequence] of sequences(uapi)) {
    const process = await TargetProcess.spawn(target);
    const context: Context = {
      process,
      info,
      revision: REVISIONS[uapi],
      pageSize: info.pageSize,
      hugePageSize: info.hugePageSize,
      note() {},
    };
    const { base } = await setUpSweep(context);
    const flags = MAP_SHARED | MAP_HUGETLB;
    const buffer = await base.mmap(SWEEP_BUFFER_SIZE, flags);
    const { fd: file } = await memfdMmap(base, SWEEP_BUFFER_SIZE, MAP_HUGETLB);
    const self = { context, base, buffer, file };
    // It is the whole kernel's, and an earlier sequence may have left it small.
    const io = await base.reopen();
    await io.mock.setMemoryLimit();
    await process.close(io.fd);
    // The first time all memory is touched that later is there.
    await runRound(self, sequence, 0);
    await recorder.start(process);
    await runRound(self, sequence, NEVER);
    steps.set(name, await recorder.stop());
    await target.reset();
  }
  return steps;
}

/** The steps of the model, as the functions of Linux that they stand for. */
export async function stepsOfModel(uapi: RevisionName): Promise<Steps> {
  const model = new Model(uapi);
  let functions: string[] = [];
  return await recordSteps(targetOf(model), {
    start({ number }) {
      functions = [];
      model.process(number).faults.onStep = (name) => {
        functions.push(...functionsOfStep(name, uapi));
      };
      return Promise.resolve();
    },
    stop: () => Promise.resolve(functions),
  });
}

/** Writes steps down: a paragraph for each sequence. */
export function formatSteps(steps: Steps): string {
  return [...steps].map(([name, functions]) =>
    `${name}\n${runs(functions).map((run) => `  ${run}\n`).join("")}`
  ).join("\n");
}

/** Runs of the same function: `name×3`. */
function runs(functions: readonly string[]): string[] {
  const runs: [name: string, times: number][] = [];
  for (const name of functions) {
    const last = runs.at(-1);
    if (last?.[0] === name) last[1]++;
    else runs.push([name, 1]);
  }
  return runs.map(([name, times]) => times > 1 ? `${name}×${times}` : name);
}
