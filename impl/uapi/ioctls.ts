// SPDX-License-Identifier: GPL-2.0-only

/**
 * All ioctls: the table that dispatch, reports and clients are made from.
 *
 * @module
 */

import { IommuFaultAlloc } from "./fault.ts";
import {
  IommuHwInfo,
  IommuHwptAlloc,
  IommuHwptGetDirtyBitmap,
  IommuHwptInvalidate,
  IommuHwptSetDirtyTracking,
} from "./hwpt.ts";
import {
  IommuDestroy,
  IommuIoasAlloc,
  IommuIoasAllowIovas,
  IommuIoasCopy,
  IommuIoasIovaRanges,
  IommuIoasMap,
  IommuIoasUnmap,
  IommuOption,
  IommuVfioIoas,
} from "./ioas.ts";
import type { Ioctl } from "./ioctl.ts";
import { TestCmd } from "./selftest.ts";
import {
  VfioCheckExtension,
  VfioGetApiVersion,
  VfioIommuDirtyPages,
  VfioIommuType1DmaMap,
  VfioIommuType1DmaUnmap,
  VfioIommuType1Info,
  VfioSetIommu,
} from "./vfio.ts";

/** The ioctls of iommufd and of the VFIO container, by their numbers. */
export const IOCTLS: readonly Ioctl[] = [
  VfioGetApiVersion,
  VfioCheckExtension,
  VfioSetIommu,
  VfioIommuType1Info,
  VfioIommuType1DmaMap,
  VfioIommuType1DmaUnmap,
  VfioIommuDirtyPages,
  IommuDestroy,
  IommuIoasAlloc,
  IommuIoasAllowIovas,
  IommuIoasCopy,
  IommuIoasIovaRanges,
  IommuIoasMap,
  IommuIoasUnmap,
  IommuOption,
  IommuVfioIoas,
  IommuHwptAlloc,
  IommuHwInfo,
  IommuHwptSetDirtyTracking,
  IommuHwptGetDirtyBitmap,
  IommuHwptInvalidate,
  IommuFaultAlloc,
  TestCmd,
];
