// SPDX-License-Identifier: GPL-2.0-only

/**
 * `deno task bench:guard`: measures the operations that `bands.json` names and
 * fails if a figure is outside of its band. What fails is measured once more
 * before it counts.
 *
 * `deno task bench:guard --record` writes the bands anew, around what it
 * measures: for a change that is meant to move them.
 *
 * @module
 */

import {
  type Bands,
  type Check,
  compare,
  operationsOf,
  record,
} from "./reporting/bands.ts";
import bands from "./bands.json" with { type: "json" };
import { type Figures, figuresOf } from "./reporting/figures.ts";
import { warmFloors } from "./measuring/floor.ts";
import { type Effort, measure } from "./measuring/measure.ts";
import { allScenarios } from "./operations.ts";
import { operationName, type Scenario } from "./measuring/scenario.ts";

const BANDS = new URL("./bands.json", import.meta.url);

/** The fastest round is what counts, so a few hundred milliseconds do. */
const EFFORT: Effort = {
  warmup: 100,
  measure: 150,
  minRounds: 10,
  maxRounds: 1000,
};

/** Measures all scenarios that have one of the operations. */
async function measureOperations(
  names: ReadonlySet<string>,
): Promise<Figures[]> {
  const all: Figures[] = [];
  for (const scenario of scenariosWith(names)) {
    all.push(...(await measure(scenario, EFFORT)).map(figuresOf));
  }
  return all;
}

/** Throws an Error if a name is none of an operation. */
function scenariosWith(names: ReadonlySet<string>): Scenario[] {
  const missing = new Set(names);
  const found = allScenarios().filter(({ operations }) => {
    const own = Object.values(operations).map(operationName);
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

/** Compares what is measured with the bands, and once more what is outside. */
async function guard(recorded: Bands): Promise<Check[]> {
  const figures = await measureOperations(operationsOf(recorded));
  const checks = compare(recorded, figures);
  const failed = checks.filter(({ ok }) => !ok);
  if (failed.length === 0) return checks;
  const again = new Set(failed.flatMap(({ operations }) => operations));
  const second = compare(recorded, await measureOperations(again));
  return checks.map((check, i) => check.ok ? check : second[i]!);
}

function describe({ what, value, band: [low, high], ok }: Check): string {
  const verdict = ok ? "ok  " : "FAIL";
  return `${verdict} ${what} is ${value.toFixed(2)}, in ${low} to ${high}`;
}

/** Runs the command with its arguments. Returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const recorded = bands as unknown as Bands;
  warmFloors();
  if (args.length > 0 && args.join() !== "--record") {
    console.error("The only argument is --record.");
    return 2;
  }
  if (args.length > 0) {
    const figures = await measureOperations(operationsOf(recorded));
    const text = JSON.stringify(record(recorded, figures), null, 2);
    Deno.writeTextFileSync(BANDS, `${text}\n`);
    return 0;
  }
  const checks = await guard(recorded);
  for (const check of checks) console.log(describe(check));
  const failed = checks.filter(({ ok }) => !ok).length;
  console.log(
    failed === 0
      ? `All ${checks.length} figures are in their bands.`
      : `${failed} of ${checks.length} figures are outside of their bands, twice.`,
  );
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
