// SPDX-License-Identifier: GPL-2.0-only

/**
 * How much memory an area takes.
 *
 * @module
 */

import { Machine } from "./machine.ts";
import { fillWithAreas } from "./operations/areas.ts";

/** Numbers of areas that are weighed. */
const COUNTS = [1000, 10_000, 100_000, 1_000_000];

/** The series whose rows show what an area takes. */
export const WEIGHED_SERIES = "fixed IOAS_MAP until there are all, no domain";

/**
 * Bytes of JavaScript heap that one area takes, by how many there are. The
 * contents of typed arrays, such as IOPTEs, are not on that heap. Undefined if
 * garbage cannot be collected on demand, which takes `--v8-flags=--expose-gc`.
 */
export async function bytesPerArea(): Promise<
  ReadonlyMap<number, number> | undefined
> {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) return undefined;
  const bytes = new Map<number, number>();
  for (const count of COUNTS) bytes.set(count, await weigh(count, gc));
  return bytes;
}

async function weigh(count: number, gc: () => void): Promise<number> {
  const machine = await Machine.boot();
  const fill = await fillWithAreas(machine, count);
  gc();
  const before = Deno.memoryUsage().heapUsed;
  fill.run();
  gc();
  const after = Deno.memoryUsage().heapUsed;
  machine.shutDown();
  return (after - before) / count;
}
