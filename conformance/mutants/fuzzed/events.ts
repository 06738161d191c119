// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the child that fuzzes mutants is to do, and what it tells.
 *
 * @module
 */

import type { FrameOrder } from "../../../impl/kernel/simulated/pages/frames.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { Need } from "../../../selftests/target/capabilities.ts";

/** Machines on which random programs run for a while. */
export interface Round {
  /** What they must have. */
  readonly needs: readonly Need[];
  /** In what order they hand out frames. */
  readonly frameOrder: FrameOrder;
}

/** A mutant that is to be fuzzed. */
export interface Suspect {
  /** The root, as a URL, below which its modules are. */
  readonly root: string;
  /** The revision. */
  readonly uapi: RevisionName;
  /** What the machine must have: what the test needs that notices the mutant. */
  readonly needs: readonly Need[];
  /** The machines on which random programs run, one after the other. */
  readonly rounds: readonly Round[];
  /** Profiles, of which each makes a program in turn. */
  readonly profiles: readonly string[];
}

/** How mutants are fuzzed. */
export interface FuzzHow {
  /** The run; that of each profile is one more than the last one's. */
  readonly seed: number;
  /** Calls of a program. */
  readonly length: number;
  /** Milliseconds of processor time until it gives a mutant up. */
  readonly limitMs: number;
}

/** What the child is to do: its only argument, as JSON. */
export interface FuzzOrder extends FuzzHow {
  /** The mutants, one after the other. */
  readonly suspects: readonly Suspect[];
}

/** How many programs there were, their calls, and milliseconds of processor time. */
export interface Effort {
  readonly programs: number;
  readonly calls: number;
  readonly processorMs: number;
}

/** A difference that was found: the effort is until the program that showed it. */
export interface FoundDifference extends Effort {
  /** The profile whose program showed it. */
  readonly profile: string;
  /** What repeats that program. */
  readonly seed: string;
  /** The cause of the smallest program. */
  readonly cause: string;
  /** How many calls that has, and what they are. */
  readonly size: number;
  readonly program: string;
  /** The difference in a line. */
  readonly text: string;
}

/** What the child tells. The last two end a mutant, and the next one begins. */
export type FuzzEvent =
  /** It goes on; its own processor time so far. */
  | ({ readonly event: "note"; readonly childMs: number } & Effort)
  /** A difference. */
  | ({ readonly event: "found" } & FoundDifference)
  /** It gives up. */
  | ({ readonly event: "end" } & Effort);
