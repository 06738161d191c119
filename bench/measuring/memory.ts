// SPDX-License-Identifier: GPL-2.0-only

/**
 * How much memory an area takes.
 *
 * @module
 */

import { Machine } from "./machine.ts";
import { type Fill, fillScenarios } from "../operations/areas.ts";
import { operationName } from "./scenario.ts";

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
  for (const fill of fillScenarios()) {
    bytes.set(operationName(fill.operation), await weigh(fill, gc));
  }
  return bytes;
}

async function weigh(
  { operation, prepare }: Fill,
  gc: () => void,
): Promise<number> {
  const machine = await Machine.boot();
  const program = machine.compile([await prepare(machine)]);
  gc();
  const before = Deno.memoryUsage().heapUsed;
  program.run();
  gc();
  const after = Deno.memoryUsage().heapUsed;
  machine.shutDown();
  return (after - before) / operation.calls;
}
