// SPDX-License-Identifier: GPL-2.0-only

/**
 * The VFIO container ioctls of an iommufd as typed, asserting calls.
 *
 * @module
 */

import type { Errno } from "../../impl/uapi/errno.ts";
import { IOMMU_VFIO_IOAS, IommuVfioIoas } from "../../impl/uapi/iommufd.ts";
import {
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_SET_IOMMU,
  VfioIommuType1DmaMap,
  VfioIommuType1DmaUnmap,
  VfioIommuType1Info,
} from "../../impl/uapi/vfio.ts";
import type { Iommufd } from "./ioctls.ts";

/** The access rights that the kernel's VFIO tests map with. */
export const DMA_RW: number = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

/** IOMMU_VFIO_IOAS; returns the id that is in the struct afterwards. */
export async function vfioIoas(
  io: Iommufd,
  op: number,
  ioasId = 0,
  errno?: Errno,
): Promise<number> {
  const reply = await io.call(
    IommuVfioIoas,
    IOMMU_VFIO_IOAS,
    { op, ioasId },
    errno,
  );
  return reply.ioasId;
}

/** VFIO_SET_IOMMU. */
export async function setIommu(
  io: Iommufd,
  type: number,
  errno?: Errno,
): Promise<void> {
  await io.ioctlArg(VFIO_SET_IOMMU, type, errno, "VFIO_SET_IOMMU");
}

/** VFIO_IOMMU_MAP_DMA; the flags default to READ and WRITE. */
export async function mapDma(
  io: Iommufd,
  values: Partial<VfioIommuType1DmaMap>,
  errno?: Errno,
): Promise<void> {
  await io.call(
    VfioIommuType1DmaMap,
    VFIO_IOMMU_MAP_DMA,
    { flags: DMA_RW, ...values },
    errno,
    "VFIO_IOMMU_MAP_DMA",
  );
}

/** VFIO_IOMMU_UNMAP_DMA; returns the length that is in the struct afterwards. */
export async function unmapDma(
  io: Iommufd,
  values: Partial<VfioIommuType1DmaUnmap>,
  errno?: Errno,
): Promise<bigint> {
  const reply = await io.call(
    VfioIommuType1DmaUnmap,
    VFIO_IOMMU_UNMAP_DMA,
    values,
    errno,
    "VFIO_IOMMU_UNMAP_DMA",
  );
  return reply.length;
}

/** VFIO_IOMMU_GET_INFO with room for the struct only. */
export function getInfo(
  io: Iommufd,
  values: Partial<VfioIommuType1Info>,
  errno?: Errno,
): Promise<VfioIommuType1Info> {
  return io.call(
    VfioIommuType1Info,
    VFIO_IOMMU_GET_INFO,
    values,
    errno,
    "VFIO_IOMMU_GET_INFO",
  );
}
