// SPDX-License-Identifier: GPL-2.0-only

/**
 * A compiler that has seen nothing yet: takes an {@link Order} as its only
 * message, and answers with the results of all scenarios that have one of the
 * operations.
 *
 * @module
 */

import { allScenarios } from "../operations.ts";
import type { Order } from "./afresh.ts";
import { warmFloors } from "./floor.ts";
import { measure, type Result } from "./measure.ts";
import { namesOf, type Scenario } from "./scenario.ts";

/** What a worker has of its side. */
declare const self: {
  onmessage(event: MessageEvent<Order>): void;
  postMessage(results: readonly Result[]): void;
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
    const names = [...missing].join("; ");
    throw new Error(`There are no operations of these names: ${names}`);
  }
  return found;
}

self.onmessage = async ({ data }) => {
  warmFloors();
  const results: Result[] = [];
  for (const scenario of scenariosWith(data.names)) {
    results.push(...await measure(scenario, data.effort));
    (globalThis as { gc?: () => void }).gc?.();
  }
  self.postMessage(results);
};
