// SPDX-License-Identifier: GPL-2.0-only

/**
 * `deno task bench:guard`: measures the operations that `bands.json` names and
 * fails if a figure is outside of its band. What is outside is measured again,
 * a few times, each time by a fresh compiler (measuring/worker.ts), and the fastest
 * rounds of all of them count: neither other work on the machine nor an unlucky
 * guess of the compiler can make anything fail.
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
import { measureAfresh } from "./measuring/afresh.ts";
import { type Effort, type Result, together } from "./measuring/measure.ts";
import { operationName } from "./measuring/scenario.ts";

const BANDS = new URL("./bands.json", import.meta.url);

/** The fastest round is what counts, so a few hundred milliseconds do. */
const EFFORT: Effort = {
  warmup: 100,
  measure: 150,
  minRounds: 10,
  maxRounds: 1000,
};

/** How often something is measured before it counts as outside of its band. */
const ATTEMPTS = 5;

/** Measures all scenarios that have one of the operations, and adds it to what was `measured` so far, by their names. */
async function figuresWith(
  names: ReadonlySet<string>,
  measured: Map<string, Result> = new Map(),
): Promise<Figures[]> {
  for (const result of await measureAfresh({ names, effort: EFFORT })) {
    const name = operationName(result.operation);
    const before = measured.get(name);
    measured.set(name, before ? together(before, result) : result);
  }
  return [...measured.values()].map(figuresOf);
}

/** Compares what is measured with the bands, and again what is outside. */
async function guard(recorded: Bands): Promise<Check[]> {
  const measured = new Map<string, Result>();
  let wanted = operationsOf(recorded);
  for (let attempt = 1;; attempt++) {
    const checks = compare(recorded, await figuresWith(wanted, measured));
    const failed = checks.filter(({ ok }) => !ok);
    if (failed.length === 0 || attempt === ATTEMPTS) return checks;
    wanted = new Set(failed.flatMap(({ operations }) => operations));
  }
}

function describe({ what, value, band: [low, high], ok }: Check): string {
  const verdict = ok ? "ok  " : "FAIL";
  return `${verdict} ${what} is ${value.toFixed(2)}, in ${low} to ${high}`;
}

/** Runs the command with its arguments. Returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const recorded = bands as unknown as Bands;
  if (args.length > 0 && args.join() !== "--record") {
    console.error("The only argument is --record.");
    return 2;
  }
  if (args.length > 0) {
    const figures = await figuresWith(operationsOf(recorded));
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
      : `${failed} of ${checks.length} figures are outside of their bands, ${ATTEMPTS} times.`,
  );
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
