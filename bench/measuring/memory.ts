// SPDX-License-Identifier: GPL-2.0-only

/**
 * How much memory an area takes.
 *
 * @module
 */

import { Machine } from "./machine.ts";
import { fillScenarios } from "../operations/areas.ts";
import { operationName, type Scenario } from "./scenario.ts";

/**
 * Bytes that one area takes, by the name of the operation that makes the areas:
 * JavaScript heap, and the arrays that areas are rows of. These are what arrays
 * grow by without a domain; with one there are IOPTEs too, which are not
 * counted. Undefined if garbage cannot be collected on demand, which
 * takes `--v8-flags=--expose-gc`.
 */
export async function bytesPerArea(): Promise<
  ReadonlyMap<string, number> | undefined
> {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) return undefined;
  const bytes = new Map<string, number>();
  /** Of the arrays, by the number of areas. */
  const rows = new Map<number, number>();
  for (const scenario of fillScenarios()) {
    const map = scenario.operations.map!;
    const { heap, arrays } = await weigh(scenario, gc);
    // The scenarios without a domain come first.
    if (!rows.has(map.calls)) rows.set(map.calls, arrays);
    bytes.set(operationName(map), (heap + rows.get(map.calls)!) / map.calls);
  }
  return bytes;
}

/** Bytes that stay after the first phase. */
async function weigh(
  scenario: Scenario,
  gc: () => void,
): Promise<{ heap: number; arrays: number }> {
  const machine = await Machine.boot();
  const [fill] = await machine.prepare(scenario);
  const before = await used(gc);
  fill!.program.run();
  const after = await used(gc);
  machine.shutDown();
  return {
    heap: after.heapUsed - before.heapUsed,
    arrays: after.external - before.external,
  };
}

/** What is in use once arrays are given back, too, which takes the collector a moment. */
async function used(gc: () => void): Promise<Deno.MemoryUsage> {
  gc();
  await new Promise((resolve) => setTimeout(resolve, 20));
  gc();
  return Deno.memoryUsage();
}
