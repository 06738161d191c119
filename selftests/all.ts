// SPDX-License-Identifier: GPL-2.0-only

/**
 * All tests, in the order in which the kernel runs its own; ours come after.
 *
 * @module
 */

import type { RevisionName } from "../impl/uapi/revision.ts";
import type { Test } from "./harness.ts";
import { registerIommufd } from "./iommufd.ts";
import { registerIommufdDirtyTracking } from "./iommufd_dirty_tracking.ts";
import { registerIommufdIoas } from "./iommufd_ioas.ts";
import { registerIommufdMockDomain } from "./iommufd_mock_domain.ts";
import { registerVfioCompatMockDomain } from "./vfio_compat_mock_domain.ts";

/** The tests that exist in a revision of the uAPI. */
export function allTests(uapi: RevisionName): Test[] {
  const registry: Test[] = [];
  registerIommufd(registry);
  registerIommufdIoas(registry);
  registerIommufdMockDomain(registry);
  registerIommufdDirtyTracking(registry);
  registerVfioCompatMockDomain(registry);
  return registry.filter((test) => test.uapi.includes(uapi));
}
