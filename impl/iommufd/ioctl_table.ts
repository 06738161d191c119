// SPDX-License-Identifier: GPL-2.0-only

/**
 * The ioctls of iommufd, in the order of their names.
 *
 * Linux: iommufd_ioctl_ops of main.c.
 *
 * @module
 */

import {
  IOMMU_DESTROY,
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_GET_HW_INFO,
  IOMMU_HWPT_ALLOC,
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  IOMMU_HWPT_INVALIDATE,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_COPY,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_UNMAP,
  IOMMU_OPTION,
  IOMMU_VFIO_IOAS,
  IommuDestroy,
  IommuFaultAlloc,
  IommuHwInfo,
  IommuHwptAlloc,
  IommuHwptGetDirtyBitmap,
  IommuHwptInvalidate,
  IommuHwptSetDirtyTracking,
  IommuIoasAlloc,
  IommuIoasAllowIovas,
  IommuIoasCopy,
  IommuIoasIovaRanges,
  IommuIoasMap,
  IommuIoasUnmap,
  IommuOption,
  IommuVfioIoas,
} from "../uapi/iommufd.ts";
import { vfioIoas } from "./vfio_compat/compat_ioas.ts";
import { hwptGetDirtyBitmap, hwptSetDirtyTracking } from "./hwpt/dirty.ts";
import { faultQueueAlloc } from "./events/fault.ts";
import { getHwInfo } from "./attach/hw_info.ts";
import { hwptAlloc } from "./hwpt/hwpt_alloc.ts";
import { hwptInvalidate } from "./hwpt/hwpt_invalidate.ts";
import {
  ioasAlloc,
  ioasAllowIovas,
  ioasCopy,
  ioasIovaRanges,
  ioasMap,
  ioasUnmap,
} from "./ioas/ioas.ts";
import { option } from "./option.ts";
import { testOp } from "./selftest/selftest.ts";
import { type IoctlOp, ioctlOp } from "./objects/ucmd.ts";

/** All ioctls of all revisions. The last field of each is the last that its first version had. */
export const IOCTL_OPS: readonly IoctlOp[] = [
  ioctlOp(IOMMU_DESTROY, IommuDestroy, "id", ({ ctx, cmd }) => {
    ctx.objects.remove(cmd.id);
  }),
  ioctlOp(
    IOMMU_FAULT_QUEUE_ALLOC,
    IommuFaultAlloc,
    "outFaultFd",
    faultQueueAlloc,
    "6.11",
  ),
  ioctlOp(
    IOMMU_GET_HW_INFO,
    IommuHwInfo,
    "reserved2",
    getHwInfo,
    "6.6",
  ),
  ioctlOp(
    IOMMU_HWPT_ALLOC,
    IommuHwptAlloc,
    "reserved",
    hwptAlloc,
    "6.6",
  ),
  ioctlOp(
    IOMMU_HWPT_GET_DIRTY_BITMAP,
    IommuHwptGetDirtyBitmap,
    "data",
    hwptGetDirtyBitmap,
    "6.7",
  ),
  ioctlOp(
    IOMMU_HWPT_INVALIDATE,
    IommuHwptInvalidate,
    "reserved",
    hwptInvalidate,
    "6.8",
  ),
  ioctlOp(
    IOMMU_HWPT_SET_DIRTY_TRACKING,
    IommuHwptSetDirtyTracking,
    "reserved",
    hwptSetDirtyTracking,
    "6.7",
  ),
  ioctlOp(IOMMU_IOAS_ALLOC, IommuIoasAlloc, "outIoasId", ioasAlloc),
  ioctlOp(
    IOMMU_IOAS_ALLOW_IOVAS,
    IommuIoasAllowIovas,
    "allowedIovas",
    ioasAllowIovas,
  ),
  ioctlOp(IOMMU_IOAS_COPY, IommuIoasCopy, "srcIova", ioasCopy),
  ioctlOp(
    IOMMU_IOAS_IOVA_RANGES,
    IommuIoasIovaRanges,
    "outIovaAlignment",
    ioasIovaRanges,
  ),
  ioctlOp(IOMMU_IOAS_MAP, IommuIoasMap, "iova", ioasMap),
  ioctlOp(IOMMU_IOAS_UNMAP, IommuIoasUnmap, "length", ioasUnmap),
  ioctlOp(IOMMU_OPTION, IommuOption, "val64", option),
  testOp,
  ioctlOp(IOMMU_VFIO_IOAS, IommuVfioIoas, "reserved", vfioIoas),
];
