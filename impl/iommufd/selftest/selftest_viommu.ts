// SPDX-License-Identifier: GPL-2.0-only

/**
 * The test operations about mock devices of virtual IOMMUs.
 *
 * @module
 */

import { isMockDevice, type MockDevice } from "../../mock/mock_device.ts";
import { EINVAL } from "../../uapi/errno.ts";
import type {
  TestDevCheckCache,
  TestTriggerVevent,
} from "../../uapi/selftest.ts";
import { IommufdDevice } from "../attach/device.ts";
import type { CommandBuffer } from "../objects/ucmd.ts";

/** What `body` makes of a mock device. Throws ENOENT without such a device, EINVAL for one that is no mock. */
function withMockDevice(
  { ctx }: CommandBuffer,
  id: number,
  body: (dev: MockDevice) => void,
): void {
  ctx.objects.get(id, IommufdDevice).putAfter(({ dev }) => {
    // Linux takes any device for one.
    if (!isMockDevice(dev)) throw EINVAL.because("it is no mock device");
    body(dev);
  });
}

/** DEV_CHECK_CACHE. Throws EINVAL unless the word is there and has the value. (Linux: iommufd_test_dev_check_cache.) */
export function testDevCheckCache(
  ucmd: CommandBuffer,
  { id, cacheId, cache }: TestDevCheckCache,
): void {
  withMockDevice(ucmd, id, (dev) => {
    if (dev.cache[cacheId] !== cache) {
      throw EINVAL.because("the cache has no such word, or another value");
    }
  });
}

/** TRIGGER_VEVENT. Throws ENOENT for a device of no virtual IOMMU, EOPNOTSUPP without a queue, ENOMEM. (Linux: iommufd_test_trigger_vevent.) */
export function testTriggerVevent(
  ucmd: CommandBuffer,
  { devId }: TestTriggerVevent,
): void {
  withMockDevice(ucmd, devId, (dev) => dev.reportEvent());
}
