// SPDX-License-Identifier: GPL-2.0-only

/**
 * What each ioctl of `uapi/ioctls.ts` does.
 *
 * Linux: iommufd_ioctl_ops of main.c.
 *
 * @module
 */

import {
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

/** All ioctls of all revisions. */
export const IOCTL_OPS: readonly IoctlOp[] = [
  ioctlOp(IommuDestroy, ({ ctx, cmd }) => ctx.objects.remove(cmd.id)),
  ioctlOp(IommuIoasAlloc, ioasAlloc),
  ioctlOp(IommuIoasAllowIovas, ioasAllowIovas),
  ioctlOp(IommuIoasCopy, ioasCopy),
  ioctlOp(IommuIoasIovaRanges, ioasIovaRanges),
  ioctlOp(IommuIoasMap, ioasMap),
  ioctlOp(IommuIoasUnmap, ioasUnmap),
  ioctlOp(IommuOption, option),
  ioctlOp(IommuVfioIoas, vfioIoas),
  ioctlOp(IommuHwptAlloc, hwptAlloc),
  ioctlOp(IommuHwInfo, getHwInfo),
  ioctlOp(IommuHwptSetDirtyTracking, hwptSetDirtyTracking),
  ioctlOp(IommuHwptGetDirtyBitmap, hwptGetDirtyBitmap),
  ioctlOp(IommuHwptInvalidate, hwptInvalidate),
  ioctlOp(IommuFaultAlloc, faultQueueAlloc),
  testOp,
];
