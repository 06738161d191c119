// SPDX-License-Identifier: GPL-2.0-only

/**
 * When a program reaches a known bug of Linux: questions to a call and to the
 * model's state before it. They may be asked too often, never too rarely.
 *
 * @module
 */

import {
  hasBug,
  type KnownBug,
} from "../../../selftests/harness/known_bugs.ts";
import type { Model } from "../../../selftests/target/impl_target.ts";
import {
  type Program,
  type Step,
  StepByStep,
} from "../../../selftests/target/program.ts";
import { call } from "../../../selftests/target/verbs.ts";
import {
  asksForPrivatePage,
  failsByRuns,
  fallsAsleep,
  forksHugePages,
  isFor,
  LINUX_HERE,
  LINUX_VM,
  looksAtProgram,
  movesSeveralMappings,
  needsNeighbours,
  readsRegisters,
  storesPartly,
} from "./choices.ts";
import type { Difference } from "./compare.ts";
import { type Here, hereOf } from "./here.ts";
import {
  asksVfioForDirty,
  fileIsNoMemory,
  fileMayBeIommufd,
  forgetsQueue,
  givesUpDevice,
  isLongestInvalidation,
  isMapWithoutAccess,
  isNestedAttach,
  isWrappedLength,
  mayFailToReplace,
  mixesDrivers,
} from "./reaches.ts";
import {
  allocatesMemory,
  copiesCutPages,
  cutsDirtyEntry,
  dropsHugePage,
  failsFilePins,
  forksReadOnlyHugePage,
  losesHugePage,
  ownerIsDead,
  ownerIsOther,
  pinsForDead,
} from "./reaches_memory.ts";

/** How a program reaches a bug, or what an implementation may choose. */
export interface Reach {
  /** Its name. */
  readonly name: string;
  /** What the name of a target begins with that has it; absent for each. */
  readonly only?: string;
  /** True if a call reaches it. */
  readonly when: (here: Here) => boolean;
  /**
   * What may differ from there on because of it. Absent where it hangs, crashes
   * or leaves what later programs trip over: then no program may get there.
   */
  readonly explains?: readonly Difference["what"][];
  /** It explains that call alone: what follows is compared. */
  readonly once?: boolean;
}

/** What says whether a target has a bug. */
type BuggyTarget = Parameters<typeof hasBug>[0] & { readonly name?: string };

/** What a leak comes to. */
const LEFT = ["problems"] as const;
/** What an object that should be gone, or should not, comes to. */
const OBJECTS = ["errno", "result", "bytes", "problems"] as const;

/** The table. What is not in it cannot be reached by a program: the bug needs another device, or the kernel is mended. */
export const REACHES: readonly (Reach & { readonly name: KnownBug })[] = [
  { name: "unlocks_dead_owner", when: pinsForDead },
  { name: "unreserves_huge_page_twice", when: dropsHugePage },
  {
    name: "unreserves_huge_page_twice",
    when: losesHugePage,
    explains: ["errno", "result"],
  },
  {
    name: "lets_child_write_huge_page",
    when: forksReadOnlyHugePage,
    explains: ["errno", "result", "bytes", "accounting"],
  },
  { name: "unpins_unused_folios", when: failsFilePins },
  { name: "keeps_viommu_of_failed_attach", when: isNestedAttach },
  { name: "replaces_with_any_domain", when: mixesDrivers },
  {
    name: "replace_drops_reserved",
    when: mayFailToReplace,
    explains: OBJECTS,
  },
  { name: "maps_cut_page", when: copiesCutPages },
  { name: "warns_of_wrapped_length", when: isWrappedLength, explains: LEFT },
  {
    name: "warns_of_map_without_access",
    when: isMapWithoutAccess,
    explains: LEFT,
  },
  {
    name: "warns_of_most_invalidations",
    when: isLongestInvalidation,
    explains: OBJECTS,
  },
  { name: "maps_keep_any_file", when: fileMayBeIommufd },
  {
    name: "maps_keep_any_file",
    when: fileIsNoMemory,
    explains: ["poll", "read", "accounting"],
  },
  {
    name: "pins_unwritten_memory",
    when: allocatesMemory,
    explains: ["read"],
  },
  {
    name: "takes_from_dead_owner",
    when: ownerIsDead,
    explains: [...OBJECTS, "accounting"],
  },
  {
    name: "leaves_pins_with_owner",
    when: ownerIsOther,
    explains: ["accounting"],
  },
  {
    name: "loses_dirty_of_cut_entry",
    when: cutsDirtyEntry,
    explains: ["read"],
  },
  {
    name: "tells_dirty_of_unmapped",
    when: asksVfioForDirty,
    explains: ["read"],
  },
  { name: "forgets_index_of_queue", when: forgetsQueue, explains: OBJECTS },
  { name: "keeps_device_with_pasid", when: givesUpDevice },
];

/** All that may differ. */
const ALL = [
  ...OBJECTS,
  "read",
  "poll",
  "accounting",
  "ending",
] as const;

/** What is up to a machine. */
export const CHOICES: readonly Reach[] = [
  { name: "frames of a queue", when: needsNeighbours, explains: OBJECTS },
  { name: "runs of frames that fail", when: failsByRuns, explains: ALL },
  {
    name: "how far mremap gets",
    when: movesSeveralMappings,
    explains: ALL,
  },
  {
    name: "the program that runs",
    when: looksAtProgram,
    explains: ["read", "result"],
  },
  {
    name: "registers of a device",
    only: LINUX_VM,
    when: readsRegisters,
    explains: ["read"],
    once: true,
  },
  {
    name: "when a device falls asleep",
    only: LINUX_VM,
    when: fallsAsleep,
    explains: ["errno", "read", "poll"],
  },
  { name: "how far a store gets", when: storesPartly, explains: ALL },
  {
    name: "huge pages that are forked again",
    only: LINUX_HERE,
    when: forksHugePages,
    explains: ["errno"],
  },
  {
    name: "private page of a file",
    only: LINUX_HERE,
    when: asksForPrivatePage,
    explains: ["errno"],
  },
];

/** What programs can reach on a target. */
export function reachesOf(target: BuggyTarget): readonly Reach[] {
  const { name: of = "" } = target;
  return [
    ...REACHES.filter(({ name }) => hasBug(target, name)),
    ...CHOICES.filter((row) => isFor(row, of)),
  ];
}

/** Which of `reaches` a step reaches. */
export function reachedBugs(
  reaches: readonly Reach[],
  model: Model,
  run: StepByStep,
  step: Step,
): Reach[] {
  const resolved = run.resolved(step);
  if (resolved === undefined) return [];
  const { number, call } = resolved;
  return reachedByCall(reaches, hereOf(model.process(number), call));
}

/** Whether a difference is explained by what a program reached at a step. */
export function explains(
  { explains = [], once = false }: Reach,
  at: number,
  { step = Infinity, what }: Difference,
): boolean {
  return (once ? step === at : step >= at) && explains.includes(what);
}

/** True for what no program may get to. */
export function isFatal({ explains }: Reach): boolean {
  return explains === undefined;
}

/** Whether a program, or the end of its processes, reaches a bug that hangs, crashes or leaves something on a target. */
export function breaks(
  target: BuggyTarget,
  model: Model,
  program: Program,
): boolean {
  const fatal = reachesOf(target).filter(isFatal);
  const run = new StepByStep(model);
  try {
    return program.some((step) => {
      if (reachedBugs(fatal, model, run, step).length > 0) return true;
      run.make(step);
      return false;
    }) || [...model.kernel.processes].some((process) => {
      const exit = hereOf(process, call("exit"));
      if (reachedByCall(fatal, exit).length > 0) return true;
      process.exit();
      return false;
    });
  } finally {
    model.reset();
  }
}

/** Which of `reaches` a call reaches. */
export function reachedByCall(
  reaches: readonly Reach[],
  here: Here,
): Reach[] {
  return reaches.filter(({ when }) => when(here));
}
