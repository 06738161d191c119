// SPDX-License-Identifier: GPL-2.0-only

/**
 * The files of traces.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import { packTraces, type Traces, unpackTraces } from "./trace.ts";

/** The revisions of which there are traces. */
export const RECORDED: readonly RevisionName[] = ["6.12", "7.3"];

function urlOf(uapi: RevisionName): URL {
  return new URL(`traces/${uapi}.gz`, import.meta.url);
}

/** The traces of a revision. */
export async function loadTraces(uapi: RevisionName): Promise<Traces> {
  return await unpackTraces(await Deno.readFile(urlOf(uapi)));
}

/** Writes the traces of a revision; how many bytes that are. */
export async function saveTraces(traces: Traces): Promise<number> {
  const bytes = await packTraces(traces);
  await Deno.writeFile(urlOf(traces.uapi), bytes);
  return bytes.length;
}
