// SPDX-License-Identifier: GPL-2.0-only

/**
 * What each ioctl of `uapi/ioctls.ts` does.
 *
 * Linux: iommufd_ioctl_ops of main.c.
 *
 * @module
 */

import * as uapi from "../uapi/iommufd.ts";
import { vfioIoas } from "./vfio_compat/compat_ioas.ts";
import { hwptGetDirtyBitmap, hwptSetDirtyTracking } from "./hwpt/dirty.ts";
import { faultQueueAlloc } from "./events/fault.ts";
import { getHwInfo } from "./attach/hw_info.ts";
import { hwptAlloc } from "./attach/hwpt_alloc.ts";
import { hwptInvalidate } from "./hwpt/hwpt_invalidate.ts";
import { ioasChangeProcess } from "./ioas/change_process.ts";
import {
  ioasAlloc,
  ioasAllowIovas,
  ioasCopy,
  ioasIovaRanges,
  ioasMap,
  ioasMapFile,
  ioasUnmap,
} from "./ioas/ioas.ts";
import { ioasNoiommuGetPa } from "./noiommu/get_pa.ts";
import { option } from "./option.ts";
import { hwQueueAlloc } from "./viommu/hw_queue.ts";
import { vdeviceAlloc } from "./viommu/vdevice.ts";
import { veventqAlloc } from "./viommu/veventq.ts";
import { viommuAlloc } from "./viommu/viommu.ts";
import { testOp } from "./selftest/selftest.ts";
import { type IoctlOp, ioctlOp } from "./objects/ucmd.ts";

/** All ioctls of all revisions. */
export const IOCTL_OPS: readonly IoctlOp[] = [
  ioctlOp(uapi.IommuDestroy, ({ ctx, cmd }) => ctx.objects.remove(cmd.id)),
  ioctlOp(uapi.IommuIoasAlloc, ioasAlloc),
  ioctlOp(uapi.IommuIoasAllowIovas, ioasAllowIovas),
  ioctlOp(uapi.IommuIoasCopy, ioasCopy),
  ioctlOp(uapi.IommuIoasIovaRanges, ioasIovaRanges),
  ioctlOp(uapi.IommuIoasMap, ioasMap),
  ioctlOp(uapi.IommuIoasMapFile, ioasMapFile),
  ioctlOp(uapi.IommuIoasChangeProcess, ioasChangeProcess),
  ioctlOp(uapi.IommuIoasNoiommuGetPa, ioasNoiommuGetPa),
  ioctlOp(uapi.IommuIoasUnmap, ioasUnmap),
  ioctlOp(uapi.IommuOption, option),
  ioctlOp(uapi.IommuVfioIoas, vfioIoas),
  ioctlOp(uapi.IommuHwptAlloc, hwptAlloc),
  ioctlOp(uapi.IommuHwInfo, getHwInfo),
  ioctlOp(uapi.IommuHwptSetDirtyTracking, hwptSetDirtyTracking),
  ioctlOp(uapi.IommuHwptGetDirtyBitmap, hwptGetDirtyBitmap),
  ioctlOp(uapi.IommuHwptInvalidate, hwptInvalidate),
  ioctlOp(uapi.IommuFaultAlloc, faultQueueAlloc),
  ioctlOp(uapi.IommuViommuAlloc, viommuAlloc),
  ioctlOp(uapi.IommuVdeviceAlloc, vdeviceAlloc),
  ioctlOp(uapi.IommuVeventqAlloc, veventqAlloc),
  ioctlOp(uapi.IommuHwQueueAlloc, hwQueueAlloc),
  testOp,
];
