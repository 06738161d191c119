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
import { registerIommufdFailNth } from "./iommufd_fail_nth.ts";
import { registerIommufdIoas } from "./iommufd_ioas.ts";
import { registerIommufdMockDomain } from "./iommufd_mock_domain.ts";
import { registerKitAccess } from "./kit_access.ts";
import { registerKitCommands } from "./kit_commands.ts";
import { registerKitCopy } from "./kit_copy.ts";
import { registerKitDirty } from "./kit_dirty.ts";
import { registerKitFailNth } from "./kit_fail_nth.ts";
import { registerKitFault } from "./kit_fault.ts";
import { registerKitHwInfo } from "./kit_hw_info.ts";
import { registerKitHwpt } from "./kit_hwpt.ts";
import { registerKitInvalidate } from "./kit_invalidate.ts";
import { registerKitMap } from "./kit_map.ts";
import { registerKitMemoryLimit } from "./kit_memory_limit.ts";
import { registerKitMockDomain } from "./kit_mock_domain.ts";
import { registerKitRanges } from "./kit_ranges.ts";
import { registerKitRlimit } from "./kit_rlimit.ts";
import { registerKitStruct } from "./kit_struct.ts";
import { registerKitTestOps } from "./kit_test_ops.ts";
import { registerKitVfioCompat } from "./kit_vfio_compat.ts";
import { registerKitVfioStruct } from "./kit_vfio_struct.ts";
import { registerVfioCompatMockDomain } from "./vfio_compat_mock_domain.ts";

/** The tests that exist in a revision of the uAPI. */
export function allTests(uapi: RevisionName): Test[] {
  const registry: Test[] = [];
  registerIommufd(registry);
  registerIommufdIoas(registry);
  registerIommufdMockDomain(registry);
  registerIommufdDirtyTracking(registry);
  registerVfioCompatMockDomain(registry);
  registerIommufdFailNth(registry);
  registerKitCommands(registry);
  registerKitStruct(registry);
  registerKitTestOps(registry);
  registerKitMap(registry);
  registerKitRanges(registry);
  registerKitCopy(registry);
  registerKitAccess(registry);
  registerKitRlimit(registry);
  registerKitMockDomain(registry);
  registerKitMemoryLimit(registry);
  registerKitHwpt(registry);
  registerKitHwInfo(registry);
  registerKitInvalidate(registry);
  registerKitDirty(registry);
  registerKitFault(registry);
  registerKitFailNth(registry);
  registerKitVfioCompat(registry);
  registerKitVfioStruct(registry);
  return registry.filter((test) => test.uapi.includes(uapi));
}
