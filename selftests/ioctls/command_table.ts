// SPDX-License-Identifier: GPL-2.0-only

/**
 * The iommufd ioctls by size: what the tests that treat all of them alike
 * need to know.
 *
 * @module
 */

import {
  IOMMU_DESTROY,
  IOMMU_GET_HW_INFO,
  IOMMU_HWPT_ALLOC,
  IOMMU_HWPT_INVALIDATE,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_COPY,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_UNMAP,
  IOMMU_OPTION,
  IOMMU_VFIO_IOAS,
  IommuDestroy,
  IommuHwInfo,
  IommuHwptAlloc,
  IommuHwptInvalidate,
  IommuIoasAlloc,
  IommuIoasAllowIovas,
  IommuIoasCopy,
  IommuIoasIovaRanges,
  IommuIoasMap,
  IommuIoasUnmap,
  IommuOption,
  IommuVfioIoas,
} from "../../impl/uapi/iommufd.ts";
import type { Lifetime, Version } from "../../impl/uapi/revision/versions.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import type { Need } from "../target/capabilities.ts";
import {
  IOMMU_IOAS_CHANGE_PROCESS,
  IOMMU_IOAS_MAP_FILE,
  IommuIoasChangeProcess,
  IommuIoasMapFile,
} from "./file_ioctls.ts";
import {
  IOMMU_VDEVICE_ALLOC,
  IOMMU_VIOMMU_ALLOC,
  IommuVdeviceAlloc,
  IommuViommuAlloc,
} from "./viommu_ioctls.ts";

/** An ioctl whose struct starts with its size. */
export interface SizedIoctl extends Lifetime {
  /** The struct. */
  readonly layout: Struct<{ size: number }>;
  /** The ioctl. */
  readonly cmd: number;
  /** The smallest size it accepts, bytes. */
  readonly last: number;
  /** What it needs of the target. */
  readonly need: Need | undefined;
}

/** One row: the ioctl, its struct and the last field that it must have. */
function row<T extends { size: number }>(
  cmd: number,
  layout: Struct<T>,
  lastField: keyof T & string,
  since: Version = "v3",
  need?: Need,
): SizedIoctl {
  return {
    layout: layout as unknown as Struct<{ size: number }>,
    cmd,
    last: layout.offsetofend(lastField),
    since,
    need,
  };
}

/** The ioctls of the kernel's cmd_length test, in its order. */
export const SIZED_IOCTLS: readonly SizedIoctl[] = [
  row(IOMMU_DESTROY, IommuDestroy, "id"),
  // The last byte of `__reserved[3]`.
  row(IOMMU_GET_HW_INFO, IommuHwInfo, "reserved2", "6.6", "hwpt"),
  row(IOMMU_HWPT_ALLOC, IommuHwptAlloc, "reserved", "6.6", "hwpt"),
  row(IOMMU_HWPT_INVALIDATE, IommuHwptInvalidate, "reserved", "6.8", "hwpt"),
  row(IOMMU_IOAS_ALLOC, IommuIoasAlloc, "outIoasId"),
  row(IOMMU_IOAS_IOVA_RANGES, IommuIoasIovaRanges, "outIovaAlignment"),
  row(IOMMU_IOAS_ALLOW_IOVAS, IommuIoasAllowIovas, "allowedIovas"),
  row(IOMMU_IOAS_MAP, IommuIoasMap, "iova"),
  row(IOMMU_IOAS_COPY, IommuIoasCopy, "srcIova"),
  row(IOMMU_IOAS_UNMAP, IommuIoasUnmap, "length"),
  row(IOMMU_OPTION, IommuOption, "val64"),
  row(IOMMU_VFIO_IOAS, IommuVfioIoas, "reserved"),
  row(IOMMU_IOAS_MAP_FILE, IommuIoasMapFile, "iova", "7.3", "map_file"),
  row(IOMMU_VIOMMU_ALLOC, IommuViommuAlloc, "outViommuId", "7.3", "viommu"),
  row(IOMMU_VDEVICE_ALLOC, IommuVdeviceAlloc, "virtId", "7.3", "viommu"),
  row(
    IOMMU_IOAS_CHANGE_PROCESS,
    IommuIoasChangeProcess,
    "reserved",
    "7.3",
    "map_file",
  ),
];
