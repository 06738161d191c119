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
 * Bytes of JavaScript heap that one area takes, by the name of the operation
 * that makes the areas. The contents of typed arrays, such as IOPTEs, are not
 * on that heap. Undefined if garbage cannot be collected on demand, which
 * takes `--v8-flags=--expose-gc`.
 */
export async function bytesPerArea(): Promise<
  ReadonlyMap<string, number> | undefined
> {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) return undefined;
  const bytes = new Map<string, number>();
  for (const scenario of fillScenarios()) {
    const { map } = scenario.operations;
    bytes.set(operationName(map!), await weigh(scenario, gc) / map!.calls);
  }
  return bytes;
}

/** Bytes that stay after the first phase. */
async function weigh(scenario: Scenario, gc: () => void): Promise<number> {
  const machine = await Machine.boot();
  const [fill] = await machine.prepare(scenario);
  gc();
  const before = Deno.memoryUsage().heapUsed;
  fill!.program.run();
  gc();
  const after = Deno.memoryUsage().heapUsed;
  machine.shutDown();
  return after - before;
}
