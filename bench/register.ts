// SPDX-License-Identifier: GPL-2.0-only

/**
 * Hands operations to `deno bench`. A benchmark is one phase of a scenario:
 * the other phases of the round run too, outside of the clock. Benchmarks have
 * no group, of which `deno bench` would say how many times faster one is than
 * another, whatever they do; the report compares with floors.
 *
 * @module
 */

import { warmFloors } from "./measuring/floor.ts";
import { Machine, type TimedPhase } from "./measuring/machine.ts";
import { allScenarios } from "./operations.ts";
import {
  type Operation,
  operationName,
  type Scenario,
} from "./measuring/scenario.ts";

/** What a slow scenario is run with: a round takes seconds. */
const SLOW = { n: 3, warmup: 0 };

/** Registers all benchmarks of a group. Its files call this. */
export function registerGroup(group: string): void {
  const bed = new Bed();
  const scenarios = allScenarios().filter((each) => each.group === group);
  if (scenarios.length === 0) {
    throw new Error(`No scenario is in the group "${group}"`);
  }
  for (const scenario of scenarios) {
    for (const [key, operation] of Object.entries(scenario.operations)) {
      registerFloor(scenario, key, operation);
      registerOperation(bed, scenario, key, operation);
    }
  }
}

function registerOperation(
  bed: Bed,
  scenario: Scenario,
  key: string,
  operation: Operation,
): void {
  Deno.bench({
    name: benchName(operation),
    ...scenario.slow ? SLOW : {},
    async fn(b) {
      const phases = await bed.use(scenario);
      for (const phase of phases) {
        const measured = phase.key === key;
        if (measured) b.start();
        phase.program.run();
        if (measured) b.end();
      }
    },
  });
}

function registerFloor(
  scenario: Scenario,
  key: string,
  operation: Operation,
): void {
  if (scenario.floor === undefined) return;
  let floor: ReturnType<NonNullable<Scenario["floor"]>> | undefined;
  Deno.bench({
    name: floorName(operation),
    fn(b) {
      if (floor === undefined) {
        warmFloors();
        floor = scenario.floor!();
      }
      for (const [step, work] of Object.entries(floor)) {
        if (step === key) b.start();
        work();
        if (step === key) b.end();
      }
    },
  });
}

/** What is timed, and how many calls of it. */
function benchName(operation: Operation): string {
  const { calls } = operation;
  const name = operationName(operation);
  return calls === 1 ? name : `${name} × ${calls.toLocaleString("en-US")}`;
}

function floorName(operation: Operation): string {
  return `floor of ${benchName(operation)}`;
}

/** The names of all benchmarks of a scenario. */
export function benchNames({ operations, floor }: Scenario): string[] {
  return Object.values(operations).flatMap((operation) =>
    floor === undefined
      ? [benchName(operation)]
      : [floorName(operation), benchName(operation)]
  );
}

/** The scenario that runs now; only one is kept at a time. */
class Bed {
  #scenario: Scenario | undefined;
  #machine: Machine | undefined;
  #phases: readonly TimedPhase[] = [];

  /** The phases of a scenario, on a machine that is booted when it comes up. */
  async use(scenario: Scenario): Promise<readonly TimedPhase[]> {
    if (this.#scenario === scenario) return this.#phases;
    this.#machine?.shutDown();
    this.#machine = await Machine.boot(scenario.frameOrder);
    this.#phases = await this.#machine.prepare(scenario);
    this.#scenario = scenario;
    return this.#phases;
  }
}
