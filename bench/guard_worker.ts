// SPDX-License-Identifier: GPL-2.0-only

/**
 * Measures for the guard: takes the names of operations as its only message,
 * and answers with the results of all scenarios that have one of them.
 *
 * @module
 */

import { warmFloors } from "./measuring/floor.ts";
import { type Effort, measure, type Result } from "./measuring/measure.ts";
import { namesOf, type Scenario } from "./measuring/scenario.ts";
import { allScenarios } from "./operations.ts";

/** What a worker has of its side. */
declare const self: {
  onmessage(event: MessageEvent<ReadonlySet<string>>): void;
  postMessage(results: readonly Result[]): void;
};

/** The fastest round is what counts, so a few hundred milliseconds do. */
const EFFORT: Effort = {
  warmup: 100,
  measure: 150,
  minRounds: 10,
  maxRounds: 1000,
};

/** Throws an Error if a name is none of an operation. */
function scenariosWith(names: ReadonlySet<string>): Scenario[] {
  const missing = new Set(names);
  const found = allScenarios().filter((scenario) => {
    const own = namesOf(scenario);
    for (const name of own) missing.delete(name);
    return own.some((name) => names.has(name));
  });
  if (missing.size > 0) {
    throw new Error(
      `bands.json names operations that do not exist: ${
        [...missing].join("; ")
      }`,
    );
  }
  return found;
}

self.onmessage = async ({ data }) => {
  warmFloors();
  const results: Result[] = [];
  for (const scenario of scenariosWith(data)) {
    results.push(...await measure(scenario, EFFORT));
  }
  self.postMessage(results);
};
