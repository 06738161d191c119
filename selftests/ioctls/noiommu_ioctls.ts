// SPDX-License-Identifier: GPL-2.0-only

/**
 * The ioctl of devices without an IOMMU as a typed, asserting call: Linux 7.3.
 *
 * @module
 */

import type { Errno } from "../../impl/uapi/errno.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import { cStruct } from "./c_struct.ts";
import type { Iommufd } from "./ioctls.ts";

/** ioctl: translates an IOVA of an IOAS of devices without an IOMMU. */
export const IOMMU_IOAS_NOIOMMU_GET_PA: number = 0x3b95;

/** Linux: `struct iommu_ioas_noiommu_get_pa`, 40 bytes. */
export interface IommuIoasNoiommuGetPa {
  /** Bytes of the struct. */
  size: number;
  /** Must be 0. */
  flags: number;
  /** The IOAS. */
  ioasId: number;
  /** Must be 0. */
  reserved: number;
  /** First IOVA. */
  iova: bigint;
  /** Bytes; reply: how many of them are contiguous in physical memory. */
  length: bigint;
  /** Reply: the physical address of `iova`. */
  outPhys: bigint;
}

/** Layout of {@link IommuIoasNoiommuGetPa}. */
export const IommuIoasNoiommuGetPa: Struct<IommuIoasNoiommuGetPa> = cStruct(
  "iommu_ioas_noiommu_get_pa",
  {
    size: "u32",
    flags: "u32",
    ioasId: "u32",
    reserved: "u32",
    iova: "u64",
    length: "u64",
    outPhys: "u64",
  },
);

/** IOMMU_IOAS_NOIOMMU_GET_PA; returns the struct. */
export async function noiommuGetPa(
  io: Iommufd,
  ioasId: number,
  iova: bigint,
  length: number | bigint,
  errno?: Errno,
  values: Partial<IommuIoasNoiommuGetPa> = {},
): Promise<IommuIoasNoiommuGetPa> {
  return await io.call(IommuIoasNoiommuGetPa, IOMMU_IOAS_NOIOMMU_GET_PA, {
    ioasId,
    iova,
    length: BigInt(length),
    ...values,
  }, errno);
}
