// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which part of the API traces reach, by what the kernel made of them.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import { Coverage } from "../api_coverage/coverage.ts";
import { noteProgram } from "../api_coverage/covered_program.ts";
import { measure } from "../api_coverage/measure.ts";
import type { Pair } from "../api_coverage/pairs.ts";
import type { Trace } from "./trace.ts";

/** What traces reach of the table. */
export interface MeasuredTraces {
  /** Pairs that calls alone bring about. */
  readonly all: number;
  /** How many of them there are in the traces. */
  readonly reached: number;
  /** The others. */
  readonly missing: readonly Pair[];
}

/** What the kernel's answers in traces say about the API. */
export function coverageOf(
  uapi: RevisionName,
  traces: readonly Trace[],
): Coverage {
  const coverage = new Coverage(uapi);
  for (const { program, outcomes, needs } of traces) {
    const isOwn = needs.includes("type1_container");
    noteProgram(coverage, program, outcomes, isOwn ? "container" : "iommufd");
  }
  return coverage;
}

/** Measures traces by the table of what there is. */
export function measureTraces(
  uapi: RevisionName,
  traces: readonly Trace[],
): MeasuredTraces {
  const files = measure(uapi, coverageOf(uapi, traces).reached);
  const sum = (count: (file: typeof files[number]) => number) =>
    files.reduce((sum, file) => sum + count(file), 0);
  return {
    all: sum(({ byCalls }) => byCalls.all),
    reached: sum(({ byCalls }) => byCalls.reached),
    missing: files.flatMap(({ missing }) =>
      missing.filter(({ by }) => by === "caller")
    ),
  };
}
