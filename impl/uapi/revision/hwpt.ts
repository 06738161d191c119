// SPDX-License-Identifier: GPL-2.0-only

/**
 * What differs in hardware page tables and hardware information.
 *
 * @module
 */

import { EINVAL, ENODEV, EOPNOTSUPP, type Errno } from "../errno.ts";
import { Differences } from "./differences.ts";

/** HWPTs. */
export class HwptDifferences extends Differences {
  /** A HWPT of an IOAS can have a fault queue, unless it is a nesting parent (iommufd_hwpt_paging_alloc). */
  readonly pagingTakesFaultQueue: boolean = this.since("6.14");
  /** A driver's nested domain that cannot be invalidated is refused (iommufd_hwpt_nested_alloc). */
  readonly nestedNeedsInvalidate: boolean = this.until("6.13");
  /** Errno when a driver's nested domain is not one (iommufd_hwpt_nested_alloc). */
  readonly notNestedErrno: Errno = this.from<Errno>({
    v3: EINVAL,
    "6.14": EOPNOTSUPP,
  });
  /** GET_HW_INFO can ask for a type (iommufd_get_hw_info). */
  readonly hwInfoTakesType: boolean = this.since("6.17");
  /** Errno when a driver does not say what its hardware information is (iommufd_get_hw_info). */
  readonly hwInfoWithoutTypeErrno: Errno = this.from<Errno>({
    v3: ENODEV,
    "6.17": EOPNOTSUPP,
  });
  /** GET_HW_INFO tells where PCI ATS cannot be used (iommufd_get_hw_info). */
  readonly hwInfoTellsMissingAts: boolean = this.since("7.1");
}
