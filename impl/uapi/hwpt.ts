// SPDX-License-Identifier: GPL-2.0-only

/**
 * The ioctls for hardware page tables: what Linux 6.6 to 6.8 added, and what
 * has grown since.
 *
 * @module
 */

import { EINVAL } from "./errno.ts";
import { ioctl, type IoctlStruct, type Sized } from "./ioctl.ts";
import * as role from "./layout/roles.ts";
import {
  HwptInvalidateSelftest,
  HwptSelftest,
  IOMMU_HW_INFO_TYPE_SELFTEST,
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
  TestHwInfo,
} from "./selftest_values.ts";

/** ioctl: Allocates a hardware page table (Linux 6.6). */
export const IOMMU_HWPT_ALLOC: number = 0x3b89;
/** ioctl: Asks for hardware information (Linux 6.6). */
export const IOMMU_GET_HW_INFO: number = 0x3b8a;
/** ioctl: Turns dirty tracking on or off (Linux 6.7). */
export const IOMMU_HWPT_SET_DIRTY_TRACKING: number = 0x3b8b;
/** ioctl: Reads dirty bits (Linux 6.7). */
export const IOMMU_HWPT_GET_DIRTY_BITMAP: number = 0x3b8c;
/** ioctl: Invalidates a nested HWPT's cache (Linux 6.8). */
export const IOMMU_HWPT_INVALIDATE: number = 0x3b8d;

/** The HWPT may become the parent of nested ones. */
export const IOMMU_HWPT_ALLOC_NEST_PARENT: number = 1 << 0;
/** The HWPT must support dirty tracking. */
export const IOMMU_HWPT_ALLOC_DIRTY_TRACKING: number = 1 << 1;
/** `faultId` is set. */
export const IOMMU_HWPT_FAULT_ID_VALID: number = 1 << 2;
/** The HWPT may be attached to PASIDs, and to devices that use some (Linux 6.15). */
export const IOMMU_HWPT_ALLOC_PASID: number = 1 << 3;
/** No driver data. */
export const IOMMU_HWPT_DATA_NONE: number = 0;
/** Intel VT-d first-stage data. */
export const IOMMU_HWPT_DATA_VTD_S1: number = 1;
/** Arm SMMUv3 stage-1 data. */
export const IOMMU_HWPT_DATA_ARM_SMMUV3: number = 2;
/** Data of AMD's guest page table. */
export const IOMMU_HWPT_DATA_AMD_GUEST: number = 3;
/** The driver has no hardware information. */
export const IOMMU_HW_INFO_TYPE_NONE: number = 0;
/** The driver chooses the type of its hardware information. */
export const IOMMU_HW_INFO_TYPE_DEFAULT: number = 0;
/** Intel VT-d. */
export const IOMMU_HW_INFO_TYPE_INTEL_VTD: number = 1;
/** Arm SMMUv3. */
export const IOMMU_HW_INFO_TYPE_ARM_SMMUV3: number = 2;
/** NVIDIA Tegra241's CMDQV, an extension of SMMUv3. */
export const IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV: number = 3;
/** AMD. */
export const IOMMU_HW_INFO_TYPE_AMD: number = 4;
/** `outDataType` is the type that is wanted. */
export const IOMMU_HW_INFO_FLAG_INPUT_TYPE: number = 1 << 0;
/** The hardware can track dirty pages. */
export const IOMMU_HW_CAP_DIRTY_TRACKING: bigint = 1n << 0n;
/** The PCI device may ask for execute permission with a PASID. */
export const IOMMU_HW_CAP_PCI_PASID_EXEC: bigint = 1n << 1n;
/** The PCI device may ask for privileged access with a PASID. */
export const IOMMU_HW_CAP_PCI_PASID_PRIV: bigint = 1n << 2n;
/** The device must not use PCI ATS. */
export const IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED: bigint = 1n << 3n;
/** Turns tracking on. */
export const IOMMU_HWPT_DIRTY_TRACKING_ENABLE: number = 1;
/** Leaves the dirty bits set. */
export const IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR: number = 1;

/** Allocates a hardware page table. Linux: `struct iommu_hwpt_alloc`, 48 bytes. */
export interface IommuHwptAlloc extends Sized {
  /** `IOMMU_HWPT_ALLOC_*` and `IOMMU_HWPT_FAULT_ID_VALID`. */
  flags: number;
  /** Device to allocate for. */
  devId: number;
  /** IOAS, or for a nested HWPT its parent, or a virtual IOMMU. */
  ptId: number;
  /** Reply: id of the new HWPT. */
  outHwptId: number;
  /** Must be 0. */
  reserved: number;
  /** `IOMMU_HWPT_DATA_*`. */
  dataType: number;
  /** Bytes of driver data. */
  dataLen: number;
  /** Address of the driver data. */
  dataUptr: bigint;
  /** Fault queue, with FAULT_ID_VALID. */
  faultId: number;
  /** Must be 0. */
  reserved2: number;
}

/** Layout of {@link IommuHwptAlloc}. */
export const IommuHwptAlloc: IoctlStruct<IommuHwptAlloc> = ioctl(
  { IOMMU_HWPT_ALLOC, since: "6.6" },
  "iommu_hwpt_alloc",
  {
    size: role.size(),
    flags: role.flags({
      NEST_PARENT: IOMMU_HWPT_ALLOC_NEST_PARENT,
      DIRTY_TRACKING: IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
      FAULT_ID_VALID: IOMMU_HWPT_FAULT_ID_VALID,
      PASID: IOMMU_HWPT_ALLOC_PASID,
    }),
    devId: role.id("DEVICE"),
    ptId: role.idElse(EINVAL, "IOAS", "HWPT_PAGING", "VIOMMU"),
    outHwptId: role.out(role.id("HWPT_PAGING", "HWPT_NESTED")),
    reserved: role.reserved(),
    ...role.since("6.7", {
      dataType: role.choice({
        NONE: IOMMU_HWPT_DATA_NONE,
        VTD_S1: IOMMU_HWPT_DATA_VTD_S1,
        ARM_SMMUV3: IOMMU_HWPT_DATA_ARM_SMMUV3,
        AMD_GUEST: IOMMU_HWPT_DATA_AMD_GUEST,
        SELFTEST: IOMMU_HWPT_DATA_SELFTEST,
      }),
      dataLen: role.length("u32"),
      dataUptr: role.pointer("reads", "dataLen", {
        formats: {
          field: "dataType",
          structs: { [IOMMU_HWPT_DATA_SELFTEST]: HwptSelftest },
        },
      }),
    }),
    ...role.since("6.11", {
      faultId: role.idOrZero("FAULT"),
      reserved2: role.unused(),
    }),
  },
);

/** Asks for a device's IOMMU hardware information. Linux: `struct iommu_hw_info`, 40 bytes. */
export interface IommuHwInfo extends Sized {
  /** `IOMMU_HW_INFO_FLAG_INPUT_TYPE`, or 0. */
  flags: number;
  /** The device. */
  devId: number;
  /** Bytes of the buffer; reply: bytes the kernel has. */
  dataLen: number;
  /** Address of the buffer. */
  dataUptr: bigint;
  /** `IOMMU_HW_INFO_TYPE_*`, with INPUT_TYPE that which is wanted (Linux: in_data_type); reply: that of the information. */
  outDataType: number;
  /** Reply: width of a PASID in bits, 0 without PASID. */
  outMaxPasidLog2: number;
  /** Must be 0. */
  reserved: number;
  /** Must be 0. */
  reserved1: number;
  /** Must be 0. */
  reserved2: number;
  /** Reply: `IOMMU_HW_CAP_*`. */
  outCapabilities: bigint;
}

/** Layout of {@link IommuHwInfo}. */
export const IommuHwInfo: IoctlStruct<IommuHwInfo> = ioctl(
  { IOMMU_GET_HW_INFO, since: "6.6" },
  "iommu_hw_info",
  {
    size: role.size(),
    flags: role.flags({ INPUT_TYPE: IOMMU_HW_INFO_FLAG_INPUT_TYPE }),
    devId: role.id("DEVICE"),
    dataLen: role.inout(role.length("u32")),
    dataUptr: role.pointer("writes", "dataLen", {
      formats: {
        field: "outDataType",
        structs: { [IOMMU_HW_INFO_TYPE_SELFTEST]: TestHwInfo },
      },
    }),
    outDataType: role.inout(role.choice({
      NONE: IOMMU_HW_INFO_TYPE_NONE,
      INTEL_VTD: IOMMU_HW_INFO_TYPE_INTEL_VTD,
      ARM_SMMUV3: IOMMU_HW_INFO_TYPE_ARM_SMMUV3,
      TEGRA241_CMDQV: IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV,
      AMD: IOMMU_HW_INFO_TYPE_AMD,
      SELFTEST: IOMMU_HW_INFO_TYPE_SELFTEST,
    })),
    outMaxPasidLog2: role.out(role.u8()),
    // Linux has an array of three.
    reserved: role.reserved("u8"),
    reserved1: role.reserved("u8"),
    reserved2: role.reserved("u8"),
    ...role.since("6.7", {
      outCapabilities: role.out(role.flags({
        DIRTY_TRACKING: IOMMU_HW_CAP_DIRTY_TRACKING,
        PCI_PASID_EXEC: IOMMU_HW_CAP_PCI_PASID_EXEC,
        PCI_PASID_PRIV: IOMMU_HW_CAP_PCI_PASID_PRIV,
        PCI_ATS_NOT_SUPPORTED: IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED,
      }, "u64")),
    }),
  },
);

/** Turns dirty tracking on or off. Linux: `struct iommu_hwpt_set_dirty_tracking`, 16 bytes. */
export interface IommuHwptSetDirtyTracking extends Sized {
  /** `IOMMU_HWPT_DIRTY_TRACKING_ENABLE` or 0. */
  flags: number;
  /** The HWPT. */
  hwptId: number;
  /** Must be 0. */
  reserved: number;
}

/** Layout of {@link IommuHwptSetDirtyTracking}. */
export const IommuHwptSetDirtyTracking: IoctlStruct<IommuHwptSetDirtyTracking> =
  ioctl(
    { IOMMU_HWPT_SET_DIRTY_TRACKING, since: "6.7" },
    "iommu_hwpt_set_dirty_tracking",
    {
      size: role.size(),
      flags: role.flags({ ENABLE: IOMMU_HWPT_DIRTY_TRACKING_ENABLE }),
      hwptId: role.id("HWPT_PAGING"),
      reserved: role.unused(),
    },
  );

/** Reads and clears dirty bits. Linux: `struct iommu_hwpt_get_dirty_bitmap`, 48 bytes. */
export interface IommuHwptGetDirtyBitmap extends Sized {
  /** The HWPT. */
  hwptId: number;
  /** `IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR` or 0. */
  flags: number;
  /** Must be 0. */
  reserved: number;
  /** First IOVA. */
  iova: bigint;
  /** Bytes of IOVA. */
  length: bigint;
  /** Bytes of IOVA that one bit stands for. */
  pageSize: bigint;
  /** Address of the bitmap. */
  data: bigint;
}

/** Layout of {@link IommuHwptGetDirtyBitmap}. */
export const IommuHwptGetDirtyBitmap: IoctlStruct<IommuHwptGetDirtyBitmap> =
  ioctl(
    { IOMMU_HWPT_GET_DIRTY_BITMAP, since: "6.7" },
    "iommu_hwpt_get_dirty_bitmap",
    {
      size: role.size(),
      hwptId: role.id("HWPT_PAGING"),
      flags: role.flags({ NO_CLEAR: IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR }),
      reserved: role.reserved(),
      iova: role.iova(),
      length: role.length(),
      pageSize: role.alignment(),
      data: role.pointer("reads or writes", "length", {
        unit: { bitPer: "pageSize" },
      }),
    },
  );

/** Invalidates cached entries of a nested HWPT. Linux: `struct iommu_hwpt_invalidate`, 32 bytes. */
export interface IommuHwptInvalidate extends Sized {
  /** The nested HWPT, or a virtual IOMMU. */
  hwptId: number;
  /** Address of the array of requests. */
  dataUptr: bigint;
  /** `IOMMU_HWPT_INVALIDATE_DATA_*`. */
  dataType: number;
  /** Bytes of one request. */
  entryLen: number;
  /** Requests; reply: requests handled. */
  entryNum: number;
  /** Must be 0. */
  reserved: number;
}

/** Layout of {@link IommuHwptInvalidate}. */
export const IommuHwptInvalidate: IoctlStruct<IommuHwptInvalidate> = ioctl(
  { IOMMU_HWPT_INVALIDATE, since: "6.8" },
  "iommu_hwpt_invalidate",
  {
    size: role.size(),
    hwptId: role.id("HWPT_NESTED", "VIOMMU"),
    dataUptr: role.pointer("reads", "entryNum", {
      unit: { bytesIn: "entryLen" },
      formats: {
        field: "dataType",
        structs: {
          [IOMMU_HWPT_INVALIDATE_DATA_SELFTEST]: HwptInvalidateSelftest,
        },
      },
    }),
    dataType: role.choice({ SELFTEST: IOMMU_HWPT_INVALIDATE_DATA_SELFTEST }),
    entryLen: role.length("u32"),
    entryNum: role.inout(role.count()),
    reserved: role.reserved(),
  },
);
