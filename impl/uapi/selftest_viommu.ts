// SPDX-License-Identifier: GPL-2.0-only

/**
 * Numbers of the mock's virtual IOMMU, and its formats of driver data: Linux
 * 6.13 to 6.17.
 *
 * @module
 */

import * as role from "./layout/roles.ts";
import { type Struct, struct } from "./layout/struct.ts";
import { IOMMU_TEST_INVALIDATE_FLAG_ALL } from "./selftest_values.ts";

/** Type of the mock's virtual IOMMU, and of its driver data. */
export const IOMMU_VIOMMU_TYPE_SELFTEST: number = 0xdeadbeef;
/** Type of the requests to a mock's virtual IOMMU. */
export const IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST: number = 0xdeadbeef;
/** A type that it refuses. */
export const IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID: number = 0xdadbeef;
/** Type of the mock's events. */
export const IOMMU_VEVENTQ_TYPE_SELFTEST: number = 0xbeefbeef;
/** Type of the mock's hardware queues. */
export const IOMMU_HW_QUEUE_TYPE_SELFTEST: number = 0xdeadbeef;
/** Hardware queues of a mock's virtual IOMMU. */
export const IOMMU_TEST_HW_QUEUE_MAX: number = 2;
/** What the cache of a mock device holds at first. */
export const IOMMU_TEST_DEV_CACHE_DEFAULT: number = 0xbaddad;
/** Last word of a mock device's cache. */
export const MOCK_DEV_CACHE_ID_MAX: number = 3;
/** Words of a mock device's cache. */
export const MOCK_DEV_CACHE_NUM: number = 4;

/** Driver data of the mock's virtual IOMMU. Linux: `struct iommu_viommu_selftest`, 24 bytes. */
export interface ViommuSelftest {
  /** Goes to the first word of the pages that can be mapped. */
  inData: number;
  /** Reply: the same. */
  outData: number;
  /** Reply: where the pages can be mapped. */
  outMmapOffset: bigint;
  /** Reply: how long they are. */
  outMmapLength: bigint;
}

/** Layout of {@link ViommuSelftest}. */
export const ViommuSelftest: Struct<ViommuSelftest> = struct(
  "iommu_viommu_selftest",
  {
    inData: role.u32(),
    outData: role.out(role.u32()),
    outMmapOffset: role.out(role.u64()),
    outMmapLength: role.out(role.length()),
  },
);

/** One invalidation request. Linux: `struct iommu_viommu_invalidate_selftest`, 12 bytes. */
export interface ViommuInvalidateSelftest {
  /** `IOMMU_TEST_INVALIDATE_FLAG_ALL` or 0. */
  flags: number;
  /** The device: its number with the virtual IOMMU. */
  vdevId: number;
  /** The word of its cache to clear. */
  cacheId: number;
}

/** Layout of {@link ViommuInvalidateSelftest}. */
export const ViommuInvalidateSelftest: Struct<ViommuInvalidateSelftest> =
  struct("iommu_viommu_invalidate_selftest", {
    flags: role.flags({ ALL: IOMMU_TEST_INVALIDATE_FLAG_ALL }),
    vdevId: role.u32(),
    cacheId: role.u32(),
  });

/** An event of the mock. Linux: `struct iommu_viommu_event_selftest`, 4 bytes. */
export interface ViommuEventSelftest {
  /** The device: the low half of its number with the virtual IOMMU. */
  virtId: number;
}

/** Layout of {@link ViommuEventSelftest}. */
export const ViommuEventSelftest: Struct<ViommuEventSelftest> = struct(
  "iommu_viommu_event_selftest",
  { virtId: role.out(role.u32()) },
);
