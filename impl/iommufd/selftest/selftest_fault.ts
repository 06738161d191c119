// SPDX-License-Identifier: GPL-2.0-only

/**
 * The test operation that makes a mock device fault.
 *
 * @module
 */

import { IOMMU_NO_PASID } from "../../iommu/group.ts";
import {
  IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
  IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
  reportDeviceFault,
} from "../../iommu/page_fault.ts";
import { isMockDevice } from "../../mock/mock_device.ts";
import { EINVAL, errnoOf } from "../../uapi/errno.ts";
import type { TestTriggerIopf } from "../../uapi/selftest.ts";
import { IommufdDevice } from "../attach/device.ts";
import type { CommandBuffer } from "../objects/ucmd.ts";

/**
 * TRIGGER_IOPF: one page request that is a whole group. Whether anybody
 * handled it is not told. (Linux: iommufd_test_trigger_iopf.)
 */
export function testTriggerIopf(
  { ctx }: CommandBuffer,
  { devId, pasid, grpid, perm, addr }: TestTriggerIopf,
): void {
  ctx.objects.get(devId, IommufdDevice).putAfter((idev) => {
    if (!isMockDevice(idev.dev)) throw EINVAL.because("it is no mock device");
    let flags = IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
    if (pasid !== IOMMU_NO_PASID) flags |= IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;
    const request = { flags, pasid, grpid, perm, addr };
    errnoOf(() => reportDeviceFault(idev.dev, request));
  });
}
