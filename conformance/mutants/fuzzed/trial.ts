// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fuzzes mutants in a process of their own, and says what was found.
 *
 * @module
 */

import { allTests } from "../../../selftests/all.ts";
import type { Need } from "../../../selftests/target/capabilities.ts";
import { PROFILES } from "../../fuzz/generate/generate.ts";
import { Child } from "../child.ts";
import { killerOf, type Mutant } from "../mutant.ts";
import { changeOf, importMapOf, otherRoot, StaleMutant } from "../patch.ts";
import type {
  Effort,
  FoundDifference,
  FuzzEvent,
  FuzzHow,
  FuzzOrder,
  Suspect,
} from "./events.ts";
import { profilesFor, roundsFor } from "./focus.ts";
import { OF_THE_CARD } from "./pair.ts";

/** Milliseconds of processor time for a few programs, and for making one small. */
const PATIENCE_MS = 30_000;

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

/** How mutants are fuzzed, and with which profile; default those for the folder of each fault. */
export type TrialHow = FuzzHow & { readonly profile?: string | undefined };

/** What a machine is made for; whatever else a test needs, all machines here have. */
const OF_THE_MACHINE: readonly Need[] = [
  "type1_container",
  "vfio_container",
  "noiommu_device",
  "noiommu_engine",
  "vfio_group_of_two",
  "copy_engines",
  "vfio_rom",
  ...OF_THE_CARD,
];

/** What the child is told of a mutant. */
function suspectOf(mutant: Mutant, root: URL, { profile }: TrialHow): Suspect {
  const { uapi, id } = killerOf(mutant);
  const { needs = [] } = allTests(uapi).find((test) => test.id === id) ?? {};
  const profiles = profile
    ? [profile]
    : profilesFor(mutant.file, Object.keys(PROFILES));
  const ofMachine = needs.filter((need) => OF_THE_MACHINE.includes(need));
  return {
    root: root.href,
    uapi,
    needs: ofMachine,
    rounds: roundsFor(profiles, ofMachine),
    profiles,
  };
}

/** Fuzzes mutants, one after the other: a verdict for each. One process does for all of them, and a new one where one hangs or takes it along. */
export async function fuzzMutants(
  mutants: readonly Mutant[],
  how: TrialHow,
): Promise<FuzzVerdict[]> {
  const verdicts: FuzzVerdict[] = [];
  while (verdicts.length < mutants.length) {
    const left = mutants.slice(verdicts.length);
    verdicts.push(...await fuzzTogether(left, how));
  }
  return verdicts;
}

/** Fuzzes mutants in one process, as far as it gets: at least one. */
async function fuzzTogether(
  mutants: readonly Mutant[],
  how: TrialHow,
): Promise<FuzzVerdict[]> {
  const changes: [string, string][] = [];
  const suspects: Suspect[] = [];
  for (const [i, mutant] of mutants.entries()) {
    const root = otherRoot(i + 1);
    try {
      changes.push(changeOf(mutant, root));
    } catch (error) {
      if (!(error instanceof StaleMutant)) throw error;
      if (i === 0) return [{ verdict: "broken", why: error.message }];
      break;
    }
    suspects.push(suspectOf(mutant, root, how));
  }
  return await verdictsOf(importMapOf(...changes), { ...how, suspects });
}

/** What a child comes to: the verdicts of all, or up to the one that ended it. */
async function verdictsOf(
  importMap: string,
  order: FuzzOrder,
): Promise<FuzzVerdict[]> {
  // What it imports when it runs has to be read.
  const child = new Child<FuzzEvent>(
    "./fuzzed/fuzz_child.ts",
    importMap,
    order,
    ["--allow-read"],
  );
  let effort: Effort | undefined;
  const verdicts: FuzzVerdict[] = [];
  for await (const told of child.events()) {
    effort = told.event === "note" ? told : undefined;
    switch (told.event) {
      case "note":
        child.allow(PATIENCE_MS, told.childMs);
        break;
      case "found":
        verdicts.push({ verdict: "found", ...told });
        break;
      case "end":
        verdicts.push({ verdict: "not found", ...told });
    }
  }
  const said = await child.end();
  if (verdicts.length === order.suspects.length) return verdicts;
  const end: FuzzVerdict = effort
    ? { verdict: child.expired ? "hung" : "crashed", ...effort }
    : { verdict: "broken", why: `The modules cannot be loaded: ${said}` };
  return [...verdicts, end];
}
