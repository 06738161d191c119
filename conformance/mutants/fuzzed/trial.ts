// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fuzzes a mutant in a process of its own, and says what was found.
 *
 * @module
 */

import { allTests } from "../../../selftests/all.ts";
import { Child } from "../child.ts";
import { killerOf, type Mutant } from "../mutant.ts";
import { importMapOf, SECOND_ROOT, StaleMutant } from "../patch.ts";
import type { FoundDifference, FuzzEvent, FuzzOrder } from "./fuzz_child.ts";

/** Milliseconds of processor time for a few programs, and for making one small. */
const PATIENCE_MS = 30_000;

/** How it is fuzzed: as the child is told, but for what the mutant decides. */
export type FuzzHow = Omit<FuzzOrder, "uapi" | "needs">;

/** How many programs there were, their calls, and milliseconds of processor time. */
export interface Effort {
  readonly programs: number;
  readonly calls: number;
  readonly processorMs: number;
}

/** How a mutant ended. */
export type FuzzVerdict =
  /** A program came to something else on it. */
  | ({ readonly verdict: "found" } & FoundDifference)
  /** A program hung, or took the process with it: one of the last few. */
  | ({ readonly verdict: "hung" | "crashed" } & Effort)
  /** No program did in the time. */
  | ({ readonly verdict: "not found" } & Effort)
  /** It is no mutant, or cannot be loaded. */
  | { readonly verdict: "broken"; readonly why: string };

/** Fuzzes a mutant; the model as it is where there is none. */
export async function fuzzMutant(
  mutant: Mutant,
  how: FuzzHow,
): Promise<FuzzVerdict> {
  let importMap: string;
  try {
    importMap = importMapOf(mutant, SECOND_ROOT);
  } catch (error) {
    if (!(error instanceof StaleMutant)) throw error;
    return { verdict: "broken", why: error.message };
  }
  const { uapi, id } = killerOf(mutant);
  const needs = allTests(uapi).find((test) => test.id === id)?.needs ?? [];
  const order: FuzzOrder = { ...how, uapi, needs };
  // What it imports when it runs has to be read.
  const child = new Child<FuzzEvent>(
    "./fuzzed/fuzz_child.ts",
    importMap,
    order,
    ["--allow-read"],
  );
  let effort: Effort | undefined;
  let verdict: FuzzVerdict | undefined;
  for await (const event of child.events()) {
    switch (event.event) {
      case "loaded":
        break;
      case "begin":
        effort = event;
        child.allow(PATIENCE_MS, event.processorMs);
        break;
      case "found":
        verdict = { verdict: "found", ...event };
        break;
      case "end":
        verdict = { verdict: "not found", ...event };
    }
  }
  const said = await child.end();
  if (verdict) return verdict;
  if (effort === undefined) {
    return { verdict: "broken", why: `The modules cannot be loaded: ${said}` };
  }
  return { verdict: child.expired ? "hung" : "crashed", ...effort };
}
