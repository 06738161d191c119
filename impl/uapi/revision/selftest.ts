// SPDX-License-Identifier: GPL-2.0-only

/**
 * What differs in the selftest module and its mock IOMMU.
 *
 * @module
 */

import { Differences } from "./differences.ts";

/** The test ioctl's struct and numbers. */
export interface TestCmdForm {
  /** Bytes of the struct. */
  readonly size: number;
  /** Bytes that a caller must provide at least. */
  readonly minSize: number;
  /** Number of the first operation. */
  readonly firstOp: number;
  /** Number of operations. */
  readonly ops: number;
}

/** The test ioctl. */
export class SelftestDifferences extends Differences {
  /** The ioctl's form (S24; iommufd_test.h). */
  readonly cmd: TestCmdForm = this.from({
    v3: { size: 56, minSize: 52, firstOp: 0, ops: 9 },
    "6.2": { size: 56, minSize: 52, firstOp: 1, ops: 9 },
    "6.6": { size: 56, minSize: 52, firstOp: 1, ops: 11 },
    "6.7": { size: 72, minSize: 68, firstOp: 1, ops: 13 },
    "6.8": { size: 72, minSize: 68, firstOp: 1, ops: 14 },
    "6.11": { size: 72, minSize: 68, firstOp: 1, ops: 15 },
  });
  /** MOCK_DOMAIN binds and attaches a device and returns three ids; else it makes a fresh HWPT without a device (S24; v3 L9254). */
  readonly mockDomainBindsDevice: boolean = this.since("6.4");
  /** The operations validate lengths, flags and limits (S25). */
  readonly opsValidate: boolean = this.since("6.2");
  /** ACCESS_PAGES, ACCESS_RW and COPY know MOCK_FLAGS_ACCESS_SYZ (iommufd_test_syz_conv_iova; not in v3 L8887). */
  readonly hasSyzFlag: boolean = this.since("6.2");
}

/** The mock IOMMU. */
export class MockDifferences extends Differences {
  /** It tolerates unmapping what is not mapped; else it warns (S11; mock_domain_unmap_pages). */
  readonly unmapToleratesMissing: boolean = this.since("6.8");
}
