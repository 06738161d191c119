// SPDX-License-Identifier: GPL-2.0-only

/**
 * Numbers of the selftest module and its mock IOMMU, and the mock's own
 * formats of driver data.
 *
 * @module
 */

import * as role from "./layout/roles.ts";
import { type Struct, struct } from "./layout/struct.ts";

/** First IOVA that a mock domain can map. */
export const MOCK_APERTURE_START: number = 1 << 24;
/** Last IOVA that a mock domain can map. */
export const MOCK_APERTURE_LAST: number = 2 ** 31 - 1;
/** Bytes of a mock IO page: half a CPU page. */
export const MOCK_IO_PAGE_SIZE: number = 2048;
/** Bytes of a mock huge IO page: 1 MiB. */
export const MOCK_HUGE_PAGE_SIZE: number = 512 * 2048;
/** ACCESS_PAGES: pin for writing. */
export const MOCK_FLAGS_ACCESS_WRITE: number = 1 << 0;
/** The IOVA field is {u32 nth area, u32 offset}. */
export const MOCK_FLAGS_ACCESS_SYZ: number = 1 << 16;
/** ACCESS_RW: write instead of read. */
export const MOCK_ACCESS_RW_WRITE: number = 1 << 0;
/** ACCESS_RW: do not take the fast path. */
export const MOCK_ACCESS_RW_SLOW_PATH: number = 1 << 2;
/** CREATE_ACCESS: the access will pin pages. */
export const MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES: number = 1 << 0;
/** MOCK_DOMAIN_FLAGS: device without dirty tracking. */
export const MOCK_FLAGS_DEVICE_NO_DIRTY: number = 1 << 0;
/** MOCK_DOMAIN_FLAGS: device whose domains have 1 MiB IO pages too. */
export const MOCK_FLAGS_DEVICE_HUGE_IOVA: number = 1 << 1;
/** MOCK_DOMAIN_FLAGS: device with PASIDs (Linux 6.15). */
export const MOCK_FLAGS_DEVICE_PASID: number = 1 << 2;
/** Bits of the PASIDs of a mock device that has some. */
export const MOCK_PASID_WIDTH: number = 20;
/** A PASID that a mock device refuses another domain for, the first time after it was attached. */
export const IOMMU_TEST_PASID_RESERVED: number = 1024;
/** Last entry of a nested mock domain's IOTLB. */
export const MOCK_NESTED_DOMAIN_IOTLB_ID_MAX: number = 3;
/** Entries of a nested mock domain's IOTLB. */
export const MOCK_NESTED_DOMAIN_IOTLB_NUM: number = 4;
/** Type of the mock's hardware information. */
export const IOMMU_HW_INFO_TYPE_SELFTEST: number = 0xfeedbeef;
/** The mock's register value. */
export const IOMMU_HW_INFO_SELFTEST_REGVAL: number = 0xdeadbeef;
/** Type of the mock's driver data. */
export const IOMMU_HWPT_DATA_SELFTEST: number = 0xdead;
/** The page table of a mock's HWPT: its ordinary one. */
export const MOCK_IOMMUPT_DEFAULT: number = 0;
/** The page table of a mock's HWPT: one for huge pages. */
export const MOCK_IOMMUPT_HUGE: number = 1;
/** IOTLB value that the selftests use. */
export const IOMMU_TEST_IOTLB_DEFAULT: number = 0xbadbeef;
/** Type of the mock's invalidation requests. */
export const IOMMU_HWPT_INVALIDATE_DATA_SELFTEST: number = 0xdeadbeef;
/** A type that the mock refuses. */
export const IOMMU_HWPT_INVALIDATE_DATA_SELFTEST_INVALID: number = 0xdadbeef;
/** Clears all IOTLB entries. */
export const IOMMU_TEST_INVALIDATE_FLAG_ALL: number = 1 << 0;

/** The mock's hardware information. Linux: `struct iommu_test_hw_info`, 8 bytes. */
export interface TestHwInfo {
  /** 0. */
  flags: number;
  /** `IOMMU_HW_INFO_SELFTEST_REGVAL`. */
  testReg: number;
}

/** Layout of {@link TestHwInfo}. */
export const TestHwInfo: Struct<TestHwInfo> = struct("iommu_test_hw_info", {
  flags: role.out(role.flags()),
  testReg: role.out(role.choice({ REGVAL: IOMMU_HW_INFO_SELFTEST_REGVAL })),
});

/** Driver data of the mock's HWPTs. Linux: `struct iommu_hwpt_selftest`, 8 bytes. */
export interface HwptSelftest {
  /** First value of each IOTLB entry of a nested HWPT. */
  iotlb: number;
  /** `MOCK_IOMMUPT_*`: the page table of a HWPT of an IOAS. */
  pagetableType: number;
}

/** Layout of {@link HwptSelftest}. */
export const HwptSelftest: Struct<HwptSelftest> = struct(
  "iommu_hwpt_selftest",
  {
    iotlb: role.u32(),
    ...role.since("6.19", {
      pagetableType: role.choice({
        DEFAULT: MOCK_IOMMUPT_DEFAULT,
        HUGE: MOCK_IOMMUPT_HUGE,
      }),
    }),
  },
);

/** One invalidation request of the mock. Linux: `struct iommu_hwpt_invalidate_selftest`, 8 bytes. */
export interface HwptInvalidateSelftest {
  /** `IOMMU_TEST_INVALIDATE_FLAG_ALL` or 0. */
  flags: number;
  /** Entry to clear. */
  iotlbId: number;
}

/** Layout of {@link HwptInvalidateSelftest}. */
export const HwptInvalidateSelftest: Struct<HwptInvalidateSelftest> = struct(
  "iommu_hwpt_invalidate_selftest",
  {
    flags: role.flags({ ALL: IOMMU_TEST_INVALIDATE_FLAG_ALL }),
    iotlbId: role.u32(),
  },
);
