// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the kernel's tests came to do within fixtures and tests that they had
 * before, although the kernel did not change there, or had another way.
 *
 * @module
 */

import { Differences } from "../../impl/uapi/revision/differences.ts";
import type { Revision } from "../../impl/uapi/revision.ts";

/** The differences as they are in one version. */
export class TestDifferences extends Differences {
  /** Fixtures with mock devices look at the cache of each. */
  readonly checksDeviceCache: boolean = this.since("7.3");
  /** `iommufd_ioas.mock_domain` has a device with PASIDs beside the other. */
  readonly hasPasidDevice: boolean = this.since("7.3");
  /** `alloc_hwpt_nested` tries requests that are too long or too many. */
  readonly checksInvalidateBounds: boolean = this.since("7.3");
  /** `get_hw_info` asks for a type. */
  readonly asksHwInfoType: boolean = this.since("7.3");
  /** The dirty tracking tests choose a page table for the HWPT, and turn large pages off where it has them all; else the device chooses. */
  readonly choosesPageTable: boolean = this.since("7.3");
}

/** The differences in the tests of a revision. */
export function testDifferences({ name }: Revision): TestDifferences {
  return new TestDifferences(name);
}
