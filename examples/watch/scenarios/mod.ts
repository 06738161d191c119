// SPDX-License-Identifier: GPL-2.0-only

/**
 * What there is to watch.
 *
 * @module
 */

import { REVISION_NAMES, type RevisionName } from "@iommufd/kit";
import { existsIn } from "../../../impl/uapi/revision/versions.ts";
import { ATTACH, CONTAINER, DIRTY, FAULT, IOVA, VIOMMU } from "./devices.ts";
import { ACCESS, HUGE, LIMIT, MANY, TIERS, TOUR } from "./memory.ts";
import type { Scenario } from "./scenario.ts";

export type { Scenario } from "./scenario.ts";

/** The kernels that have what a scenario calls, newest first; all for a program of somebody's own. */
export function kernelsFor(id: string | undefined): readonly RevisionName[] {
  const scenario = SCENARIOS.find((each) => each.id === id) ?? {};
  return REVISION_NAMES.filter((name) => existsIn(name, scenario)).reverse();
}

/** All scenarios; the first is what the page begins with. */
export const SCENARIOS: readonly Scenario[] = [
  TOUR,
  TIERS,
  ATTACH,
  IOVA,
  HUGE,
  DIRTY,
  ACCESS,
  FAULT,
  VIOMMU,
  CONTAINER,
  LIMIT,
  MANY,
];
