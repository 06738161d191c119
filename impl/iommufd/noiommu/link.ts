// SPDX-License-Identifier: GPL-2.0-only

/**
 * Attaching a device that has no IOMMU: a HWPT is attached to nothing but the
 * device's name.
 *
 * @module
 */

import { checkFaults, type HwptLink } from "../events/fault_attach.ts";

/** It only says which HWPTs do not go with the device. */
export const NO_IOMMU_LINK: HwptLink = {
  attach: (hwpt, { dev }) => checkFaults(hwpt, dev),
  detach() {},
  replace: ({ dev }, hwpt) => checkFaults(hwpt, dev),
};
