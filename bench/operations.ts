// SPDX-License-Identifier: GPL-2.0-only

/**
 * All operations that are measured: by `deno task bench`, by the report and by
 * the guard.
 *
 * @module
 */

import { accessScenarios } from "./operations/access.ts";
import { areaScenarios } from "./operations/areas.ts";
import { copyScenarios } from "./operations/copy.ts";
import { dirtyScenarios } from "./operations/dirty.ts";
import { dmaScenarios } from "./operations/dma.ts";
import { faultScenarios } from "./operations/fault.ts";
import { fileScenarios } from "./operations/files.ts";
import { forkScenarios } from "./operations/fork.ts";
import { mapScenarios } from "./operations/map.ts";
import { objectScenarios } from "./operations/objects.ts";
import { systemCallScenarios } from "./operations/system_calls.ts";
import { vfioScenarios } from "./operations/vfio.ts";
import { viommuScenarios } from "./operations/viommu.ts";
import type { Scenario } from "./measuring/scenario.ts";

/** Every scenario, group by group. */
export function allScenarios(): Scenario[] {
  return [
    ...systemCallScenarios(),
    ...objectScenarios(),
    ...mapScenarios(),
    ...fileScenarios(),
    ...copyScenarios(),
    ...accessScenarios(),
    ...areaScenarios(),
    ...vfioScenarios(),
    ...dirtyScenarios(),
    ...dmaScenarios(),
    ...faultScenarios(),
    ...viommuScenarios(),
    ...forkScenarios(),
  ];
}
