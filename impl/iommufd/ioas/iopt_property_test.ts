// SPDX-License-Identifier: GPL-2.0-only

/**
 * Random sequences of ioctls against the naive model.
 */

import fc from "fast-check";
import { REVISION_NAMES } from "../../uapi/revision.ts";
import { anyStep, IoptRun, placingStep } from "../testing/iopt_run.ts";
import { baseSetting, type Setting } from "../testing/iopt_state.ts";

function runsLikeTheModel(
  setting: Setting,
  seed: number,
  runs: number,
  step = anyStep,
): void {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const run = new IoptRun(setting);
      for (const one of steps) run.step(one);
      run.finish();
    }),
    { seed, numRuns: runs },
  );
}

/** Six settings of 250 runs each in every revision: every difference that changes a path. */
const SETTINGS: Setting[] = REVISION_NAMES.flatMap((revision) => {
  const base = baseSetting(revision);
  return [
    base,
    { ...base, scattered: true },
    { ...base, memoryLimit: 16 },
    { ...base, memoryLimit: 40, scattered: true },
    { ...base, unit: 512, privateMemory: true },
    { ...base, lockLimit: 12 },
  ];
});

SETTINGS.forEach((setting, i) => {
  const { revision, memoryLimit, unit } = setting;
  const traits = [
    `batches of ${memoryLimit} bytes`,
    `units of ${unit} bytes`,
    setting.scattered ? "scattered frames" : "frames in order",
    setting.privateMemory ? "private memory" : "shared memory",
    setting.lockLimit ? `limit of ${setting.lockLimit} pages` : "no limit",
  ];
  Deno.test(`IOAS ioctls do what the naive model does: ${revision}, ${traits.join(", ")}`, () =>
    runsLikeTheModel(setting, 1000 + i, 250));
});

for (const revision of REVISION_NAMES) {
  for (const unit of [1, 64, 256]) {
    Deno.test(`the kernel chooses the IOVA that the naive model chooses: ${revision}, units of ${unit} bytes`, () => {
      const setting = { ...SETTINGS[0]!, revision, unit };
      runsLikeTheModel(setting, unit, 250, placingStep);
    });
  }
}
