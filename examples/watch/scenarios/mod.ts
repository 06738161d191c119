// SPDX-License-Identifier: GPL-2.0-only

/**
 * What there is to watch.
 *
 * @module
 */

import { ATTACH, CONTAINER, DIRTY, FAULT, IOVA, VIOMMU } from "./devices.ts";
import { ACCESS, HUGE, LIMIT, MANY, TIERS, TOUR } from "./memory.ts";
import type { Scenario } from "./scenario.ts";

export type { Scenario } from "./scenario.ts";

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
