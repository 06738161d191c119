// SPDX-License-Identifier: GPL-2.0-only

/**
 * What differs in the selftest module and its mock IOMMU.
 *
 * @module
 */

import { Differences } from "./differences.ts";

/** The test ioctl. */
export class SelftestDifferences extends Differences {
  /** Number of the first operation (S24; iommufd_test.h). */
  readonly firstOp: number = this.from({ v3: 0, "6.2": 1 });
  /** MOCK_DOMAIN binds and attaches a device and returns three ids; else it makes a fresh HWPT without a device (S24; iommufd_test_mock_domain). */
  readonly mockDomainBindsDevice: boolean = this.since("6.4");
  /** The operations validate lengths, flags and limits (S25). */
  readonly opsValidate: boolean = this.since("6.2");
  /** MD_CHECK_MAP looks the HWPT up before it looks at the range (iommufd_test_md_check_pa). */
  readonly checkMapFindsHwptFirst: boolean = this.since("6.19");
  /** ACCESS_PAGES, ACCESS_RW and COPY know MOCK_FLAGS_ACCESS_SYZ (P15.14; iommufd_test_syz_conv_iova). */
  readonly hasSyzFlag: boolean = this.since("6.2");
}

/** The mock IOMMU. */
export class MockDifferences extends Differences {
  /** Bits of `MOCK_FLAGS_DEVICE_*` that a device can be made with (mock_dev_create). */
  readonly deviceFlags: number = this.from({
    v3: 0b011,
    "6.15": 0b111,
    "6.19": 0b101,
  });
  /** How many PASIDs a device has that was made without; a device with 1 has none but IOMMU_NO_PASID (pasid-num-bits of mock_dev_create). */
  readonly plainMaxPasids: number = this.from({ v3: 0, "6.15": 1 });
  /**
   * Its page table (selftest.c). "flat": one entry for each 2 KiB, and errors
   * are kernel warnings. "amdv1": AMD's format, with entries of every power of
   * two (generic_pt/fmt/amdv1.h).
   */
  readonly pageTable: "flat" | "amdv1" = this.from<"flat" | "amdv1">({
    v3: "flat",
    "6.19": "amdv1",
  });
  /** Its page table maps nothing that a device could neither read nor write (generic_pt/iommu_pt.h map_range). */
  readonly mapNeedsRight: boolean = this.since("6.19");
  /** The flat table tolerates unmapping what is not mapped; else it warns (mock_domain_unmap_pages). */
  readonly unmapToleratesMissing: boolean = this.since("6.8");
  /** A HWPT of an IOAS takes driver data, which choose its page table (mock_domain_alloc_paging_flags). */
  readonly pagingTakesData: boolean = this.since("6.19");
}
