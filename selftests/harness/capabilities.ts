// SPDX-License-Identifier: GPL-2.0-only

/**
 * The capabilities that are the kernel's, and since when it has them; the
 * others are up to the target.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import { existsIn, type Lifetime } from "../../impl/uapi/revision/versions.ts";
import type { Need } from "./harness.ts";

const LIFETIMES: Readonly<Partial<Record<Need, Lifetime>>> = {
  vfio: { since: "6.2" },
  hwpt: { since: "6.6" },
  dirty: { since: "6.7" },
  faults: { since: "6.11" },
};

/** When there is what a capability stands for. */
export function lifetimeOf(need: Need): Lifetime {
  return LIFETIMES[need] ?? {};
}

/** The capabilities that a kernel of a revision has by its age. */
export function kernelCapabilities(uapi: RevisionName): Need[] {
  const all = Object.keys(LIFETIMES) as Need[];
  return all.filter((need) => existsIn(uapi, lifetimeOf(need)));
}
