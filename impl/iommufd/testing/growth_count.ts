// SPDX-License-Identifier: GPL-2.0-only

/**
 * Counts the steps that the scenarios of growth_scenarios.ts take: how often
 * each block of the model's code runs. That is the same on every machine.
 *
 * A program of its own, because it resets the counters that a run with
 * coverage needs. What an engine does by itself, such as copying an array, is
 * no step.
 *
 * @module
 */

import { Session } from "node:inspector/promises";
import { NEWEST, type RevisionName } from "../../uapi/revision.ts";
import type { Scenario } from "./growth_scenarios.ts";

/** The steps of a phase, for so many and for twice as many. */
export interface Growth {
  /** Scenario and phase. */
  readonly what: string;
  /** Steps for {@link COUNTS}. */
  readonly steps: number[];
}

/** How many of what a scenario has are made. */
const COUNTS = [256, 512];

const session = new Session();
session.connect();
await session.post("Profiler.enable");
await session.post("Profiler.startPreciseCoverage", {
  callCount: true,
  detailed: true,
});
// Only code that is loaded from here on is counted.
const { CONTROL, GrowthBench, LATER_SCENARIOS, SCENARIOS } = await import(
  "./growth_scenarios.ts"
);

/** Steps since the last call. */
async function takeSteps(): Promise<number> {
  const { result } = await session.post("Profiler.takePreciseCoverage");
  let steps = 0;
  for (const { url, functions } of result) {
    if (!url.includes("/impl/")) continue;
    for (const { ranges } of functions) {
      for (const { count } of ranges) steps += count;
    }
  }
  return steps;
}

async function measure(
  revision: RevisionName,
  name: string,
  scenario: Scenario,
): Promise<Growth[]> {
  const growths = new Map<string, Growth>();
  for (const n of COUNTS) {
    for (
      const [phase, run] of Object.entries(
        scenario(n, new GrowthBench(revision)),
      )
    ) {
      await takeSteps();
      run();
      const what = `${name}: ${phase}`;
      const growth = growths.get(what) ?? { what, steps: [] };
      growth.steps.push(await takeSteps());
      growths.set(what, growth);
    }
  }
  return [...growths.values()];
}

const results: Growth[] = [];
for (const [name, scenario] of Object.entries({ ...CONTROL, ...SCENARIOS })) {
  results.push(...await measure("v3", `v3, ${name}`, scenario));
}
const newest = { ...SCENARIOS, ...LATER_SCENARIOS };
for (const [name, scenario] of Object.entries(newest)) {
  results.push(...await measure(NEWEST, name, scenario));
}
console.log(JSON.stringify(results));
