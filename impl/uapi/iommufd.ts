// SPDX-License-Identifier: GPL-2.0-only

/**
 * The iommufd user API: `include/uapi/linux/iommufd.h` of Linux 6.12.
 *
 * Field names are Linux's in camelCase (`__reserved` is `reserved`); u64 fields
 * are bigint.
 *
 * @module
 */

import { type Struct, struct, u16, u32, u64, u8 } from "./struct.ts";

/** The ioctl type byte of iommufd and VFIO: `;`. */
export const IOMMUFD_TYPE: number = 0x3b;
/** Number of the first iommufd ioctl; lower ones are VFIO's. */
export const IOMMUFD_CMD_BASE: number = 0x80;
/** ioctl: Destroys an object. */
export const IOMMU_DESTROY: number = 0x3b80;
/** ioctl: Allocates an IOAS. */
export const IOMMU_IOAS_ALLOC: number = 0x3b81;
/** ioctl: Sets the allowed IOVA. */
export const IOMMU_IOAS_ALLOW_IOVAS: number = 0x3b82;
/** ioctl: Maps what another range maps. */
export const IOMMU_IOAS_COPY: number = 0x3b83;
/** ioctl: Asks for the usable IOVA. */
export const IOMMU_IOAS_IOVA_RANGES: number = 0x3b84;
/** ioctl: Maps user memory. */
export const IOMMU_IOAS_MAP: number = 0x3b85;
/** ioctl: Unmaps areas. */
export const IOMMU_IOAS_UNMAP: number = 0x3b86;
/** ioctl: Reads or sets an option. */
export const IOMMU_OPTION: number = 0x3b87;
/** ioctl: Reads or sets the VFIO container's IOAS. */
export const IOMMU_VFIO_IOAS: number = 0x3b88;
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
/** ioctl: Allocates a fault queue (Linux 6.11). */
export const IOMMU_FAULT_QUEUE_ALLOC: number = 0x3b8e;

/** Map at the given IOVA. */
export const IOMMU_IOAS_MAP_FIXED_IOVA: number = 1 << 0;
/** The device may write. */
export const IOMMU_IOAS_MAP_WRITEABLE: number = 1 << 1;
/** The device may read. */
export const IOMMU_IOAS_MAP_READABLE: number = 1 << 2;
/** Option: how pinned memory is charged: 0 per user, 1 per process. */
export const IOMMU_OPTION_RLIMIT_MODE: number = 0;
/** Option of an IOAS: whether contiguous pages may be mapped as one. */
export const IOMMU_OPTION_HUGE_PAGES: number = 1;
/** Sets an option. */
export const IOMMU_OPTION_OP_SET: number = 0;
/** Reads an option. */
export const IOMMU_OPTION_OP_GET: number = 1;
/** Reads the compatibility IOAS. */
export const IOMMU_VFIO_IOAS_GET: number = 0;
/** Sets it. */
export const IOMMU_VFIO_IOAS_SET: number = 1;
/** Clears it. */
export const IOMMU_VFIO_IOAS_CLEAR: number = 2;
/** The HWPT may become the parent of nested ones. */
export const IOMMU_HWPT_ALLOC_NEST_PARENT: number = 1 << 0;
/** The HWPT must support dirty tracking. */
export const IOMMU_HWPT_ALLOC_DIRTY_TRACKING: number = 1 << 1;
/** `faultId` is set. */
export const IOMMU_HWPT_FAULT_ID_VALID: number = 1 << 2;
/** No driver data. */
export const IOMMU_HWPT_DATA_NONE: number = 0;
/** Intel VT-d first-stage data. */
export const IOMMU_HWPT_DATA_VTD_S1: number = 1;
/** The driver has no hardware information. */
export const IOMMU_HW_INFO_TYPE_NONE: number = 0;
/** Intel VT-d. */
export const IOMMU_HW_INFO_TYPE_INTEL_VTD: number = 1;
/** The hardware can track dirty pages. */
export const IOMMU_HW_CAP_DIRTY_TRACKING: bigint = 1n << 0n;
/** The PCI device may ask for execute permission with a PASID. */
export const IOMMU_HW_CAP_PCI_PASID_EXEC: bigint = 1n << 1n;
/** The PCI device may ask for privileged access with a PASID. */
export const IOMMU_HW_CAP_PCI_PASID_PRIV: bigint = 1n << 2n;
/** Turns tracking on. */
export const IOMMU_HWPT_DIRTY_TRACKING_ENABLE: number = 1;
/** Leaves the dirty bits set. */
export const IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR: number = 1;
/** `pasid` is set. */
export const IOMMU_PGFAULT_FLAGS_PASID_VALID: number = 1 << 0;
/** Last fault of its group. */
export const IOMMU_PGFAULT_FLAGS_LAST_PAGE: number = 1 << 1;
/** Read wanted. */
export const IOMMU_PGFAULT_PERM_READ: number = 1 << 0;
/** Write wanted. */
export const IOMMU_PGFAULT_PERM_WRITE: number = 1 << 1;
/** Execute wanted. */
export const IOMMU_PGFAULT_PERM_EXEC: number = 1 << 2;
/** Privileged access wanted. */
export const IOMMU_PGFAULT_PERM_PRIV: number = 1 << 3;
/** Answer: handled, retry. */
export const IOMMUFD_PAGE_RESP_SUCCESS: number = 0;
/** Answer: not handled, do not retry. */
export const IOMMUFD_PAGE_RESP_INVALID: number = 1;

/** Destroys an object. Linux: `struct iommu_destroy`, 8 bytes. */
export interface IommuDestroy {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** Id of the object. */
  id: number;
}

/** Layout of {@link IommuDestroy}. */
export const IommuDestroy: Struct<IommuDestroy> = struct("iommu_destroy", 8, {
  size: u32(0),
  id: u32(4),
});

/** Allocates an IOAS. Linux: `struct iommu_ioas_alloc`, 12 bytes. */
export interface IommuIoasAlloc {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** Must be 0. */
  flags: number;
  /** Reply: id of the new IOAS. */
  outIoasId: number;
}

/** Layout of {@link IommuIoasAlloc}. */
export const IommuIoasAlloc: Struct<IommuIoasAlloc> = struct(
  "iommu_ioas_alloc",
  12,
  {
    size: u32(0),
    flags: u32(4),
    outIoasId: u32(8),
  },
);

/** A range of IOVA, both ends inclusive. Linux: `struct iommu_iova_range`, 16 bytes. */
export interface IommuIovaRange {
  /** First IOVA, bytes. */
  start: bigint;
  /** Last IOVA, bytes, inclusive. */
  last: bigint;
}

/** Layout of {@link IommuIovaRange}. */
export const IommuIovaRange: Struct<IommuIovaRange> = struct(
  "iommu_iova_range",
  16,
  {
    start: u64(0),
    last: u64(8),
  },
);

/** Asks which IOVA an IOAS can map. Linux: `struct iommu_ioas_iova_ranges`, 32 bytes. */
export interface IommuIoasIovaRanges {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** The IOAS. */
  ioasId: number;
  /** Entries the array has; reply: ranges there are. */
  numIovas: number;
  /** Must be 0. */
  reserved: number;
  /** Address of an array of `iommu_iova_range`. */
  allowedIovas: bigint;
  /** Reply: alignment that IOVA and length need, bytes. */
  outIovaAlignment: bigint;
}

/** Layout of {@link IommuIoasIovaRanges}. */
export const IommuIoasIovaRanges: Struct<IommuIoasIovaRanges> = struct(
  "iommu_ioas_iova_ranges",
  32,
  {
    size: u32(0),
    ioasId: u32(4),
    numIovas: u32(8),
    reserved: u32(12),
    allowedIovas: u64(16),
    outIovaAlignment: u64(24),
  },
);

/** Sets the IOVA that kernel-chosen maps keep to and that may not become reserved. Linux: `struct iommu_ioas_allow_iovas`, 24 bytes. */
export interface IommuIoasAllowIovas {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** The IOAS. */
  ioasId: number;
  /** Entries in the array; 0 allows everything. */
  numIovas: number;
  /** Must be 0. */
  reserved: number;
  /** Address of an array of `iommu_iova_range`. */
  allowedIovas: bigint;
}

/** Layout of {@link IommuIoasAllowIovas}. */
export const IommuIoasAllowIovas: Struct<IommuIoasAllowIovas> = struct(
  "iommu_ioas_allow_iovas",
  24,
  {
    size: u32(0),
    ioasId: u32(4),
    numIovas: u32(8),
    reserved: u32(12),
    allowedIovas: u64(16),
  },
);

/** Maps user memory into an IOAS. Linux: `struct iommu_ioas_map`, 40 bytes. */
export interface IommuIoasMap {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_IOAS_MAP_*`. */
  flags: number;
  /** The IOAS. */
  ioasId: number;
  /** Must be 0. */
  reserved: number;
  /** Address of the memory. */
  userVa: bigint;
  /** Bytes to map. */
  length: bigint;
  /** IOVA to map at with FIXED_IOVA; reply: where it was mapped. */
  iova: bigint;
}

/** Layout of {@link IommuIoasMap}. */
export const IommuIoasMap: Struct<IommuIoasMap> = struct("iommu_ioas_map", 40, {
  size: u32(0),
  flags: u32(4),
  ioasId: u32(8),
  reserved: u32(12),
  userVa: u64(16),
  length: u64(24),
  iova: u64(32),
});

/** Maps the memory behind one IOVA range at another. Linux: `struct iommu_ioas_copy`, 40 bytes. */
export interface IommuIoasCopy {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_IOAS_MAP_*`. */
  flags: number;
  /** IOAS to map into. */
  dstIoasId: number;
  /** IOAS to take the memory from. */
  srcIoasId: number;
  /** Bytes to copy. */
  length: bigint;
  /** IOVA to map at with FIXED_IOVA; reply: where it was mapped. */
  dstIova: bigint;
  /** First IOVA to copy from. */
  srcIova: bigint;
}

/** Layout of {@link IommuIoasCopy}. */
export const IommuIoasCopy: Struct<IommuIoasCopy> = struct(
  "iommu_ioas_copy",
  40,
  {
    size: u32(0),
    flags: u32(4),
    dstIoasId: u32(8),
    srcIoasId: u32(12),
    length: u64(16),
    dstIova: u64(24),
    srcIova: u64(32),
  },
);

/** Unmaps whole areas. Linux: `struct iommu_ioas_unmap`, 24 bytes. */
export interface IommuIoasUnmap {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** The IOAS. */
  ioasId: number;
  /** First IOVA. */
  iova: bigint;
  /** Bytes; with IOVA 0, 2^64-1 means everything. Reply: bytes unmapped. */
  length: bigint;
}

/** Layout of {@link IommuIoasUnmap}. */
export const IommuIoasUnmap: Struct<IommuIoasUnmap> = struct(
  "iommu_ioas_unmap",
  24,
  {
    size: u32(0),
    ioasId: u32(4),
    iova: u64(8),
    length: u64(16),
  },
);

/** Reads or sets an option. Linux: `struct iommu_option`, 24 bytes. */
export interface IommuOption {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_OPTION_*`. */
  optionId: number;
  /** `IOMMU_OPTION_OP_*`. */
  op: number;
  /** Must be 0. */
  reserved: number;
  /** Object the option belongs to, 0 for the context's options. */
  objectId: number;
  /** Value to set; reply: value read. */
  val64: bigint;
}

/** Layout of {@link IommuOption}. */
export const IommuOption: Struct<IommuOption> = struct("iommu_option", 24, {
  size: u32(0),
  optionId: u32(4),
  op: u16(8),
  reserved: u16(10),
  objectId: u32(12),
  val64: u64(16),
});

/** Reads, sets or clears the IOAS that the VFIO container ioctls act on. Linux: `struct iommu_vfio_ioas`, 12 bytes. */
export interface IommuVfioIoas {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** The IOAS; reply to GET. */
  ioasId: number;
  /** `IOMMU_VFIO_IOAS_*`. */
  op: number;
  /** Must be 0. */
  reserved: number;
}

/** Layout of {@link IommuVfioIoas}. */
export const IommuVfioIoas: Struct<IommuVfioIoas> = struct(
  "iommu_vfio_ioas",
  12,
  {
    size: u32(0),
    ioasId: u32(4),
    op: u16(8),
    reserved: u16(10),
  },
);

/** Allocates a hardware page table. Linux: `struct iommu_hwpt_alloc`, 48 bytes. */
export interface IommuHwptAlloc {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_HWPT_ALLOC_*` and `IOMMU_HWPT_FAULT_ID_VALID`. */
  flags: number;
  /** Device to allocate for. */
  devId: number;
  /** IOAS, or parent HWPT of a nested one. */
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
export const IommuHwptAlloc: Struct<IommuHwptAlloc> = struct(
  "iommu_hwpt_alloc",
  { "6.6": 24, "6.8": 40, "6.11": 48 },
  {
    size: u32(0),
    flags: u32(4),
    devId: u32(8),
    ptId: u32(12),
    outHwptId: u32(16),
    reserved: u32(20),
    dataType: u32(24),
    dataLen: u32(28),
    dataUptr: u64(32),
    faultId: u32(40),
    reserved2: u32(44),
  },
);

/** Asks for a device's IOMMU hardware information. Linux: `struct iommu_hw_info`, 40 bytes. */
export interface IommuHwInfo {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** Must be 0. */
  flags: number;
  /** The device. */
  devId: number;
  /** Bytes of the buffer; reply: bytes the kernel has. */
  dataLen: number;
  /** Address of the buffer. */
  dataUptr: bigint;
  /** Reply: `IOMMU_HW_INFO_TYPE_*`. */
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
export const IommuHwInfo: Struct<IommuHwInfo> = struct("iommu_hw_info", {
  "6.6": 32,
  "6.7": 40,
}, {
  size: u32(0),
  flags: u32(4),
  devId: u32(8),
  dataLen: u32(12),
  dataUptr: u64(16),
  outDataType: u32(24),
  outMaxPasidLog2: u8(28),
  reserved: u8(29),
  reserved1: u8(30),
  reserved2: u8(31),
  outCapabilities: u64(32),
});

/** Turns dirty tracking on or off. Linux: `struct iommu_hwpt_set_dirty_tracking`, 16 bytes. */
export interface IommuHwptSetDirtyTracking {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_HWPT_DIRTY_TRACKING_ENABLE` or 0. */
  flags: number;
  /** The HWPT. */
  hwptId: number;
  /** Must be 0. */
  reserved: number;
}

/** Layout of {@link IommuHwptSetDirtyTracking}. */
export const IommuHwptSetDirtyTracking: Struct<IommuHwptSetDirtyTracking> =
  struct("iommu_hwpt_set_dirty_tracking", 16, {
    size: u32(0),
    flags: u32(4),
    hwptId: u32(8),
    reserved: u32(12),
  });

/** Reads and clears dirty bits. Linux: `struct iommu_hwpt_get_dirty_bitmap`, 48 bytes. */
export interface IommuHwptGetDirtyBitmap {
  /** Bytes of this struct that the caller provides. */
  size: number;
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
export const IommuHwptGetDirtyBitmap: Struct<IommuHwptGetDirtyBitmap> = struct(
  "iommu_hwpt_get_dirty_bitmap",
  48,
  {
    size: u32(0),
    hwptId: u32(4),
    flags: u32(8),
    reserved: u32(12),
    iova: u64(16),
    length: u64(24),
    pageSize: u64(32),
    data: u64(40),
  },
);

/** Invalidates cached entries of a nested HWPT. Linux: `struct iommu_hwpt_invalidate`, 32 bytes. */
export interface IommuHwptInvalidate {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** The HWPT. */
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
export const IommuHwptInvalidate: Struct<IommuHwptInvalidate> = struct(
  "iommu_hwpt_invalidate",
  32,
  {
    size: u32(0),
    hwptId: u32(4),
    dataUptr: u64(8),
    dataType: u32(16),
    entryLen: u32(20),
    entryNum: u32(24),
    reserved: u32(28),
  },
);

/** Allocates a fault queue. Linux: `struct iommu_fault_alloc`, 16 bytes. */
export interface IommuFaultAlloc {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** Must be 0. */
  flags: number;
  /** Reply: id of the fault queue. */
  outFaultId: number;
  /** Reply: descriptor to read faults from and write answers to. */
  outFaultFd: number;
}

/** Layout of {@link IommuFaultAlloc}. */
export const IommuFaultAlloc: Struct<IommuFaultAlloc> = struct(
  "iommu_fault_alloc",
  16,
  {
    size: u32(0),
    flags: u32(4),
    outFaultId: u32(8),
    outFaultFd: u32(12),
  },
);

/** One page fault, as read from a fault queue. Linux: `struct iommu_hwpt_pgfault`, 40 bytes. */
export interface IommuHwptPgfault {
  /** `IOMMU_PGFAULT_FLAGS_*`. */
  flags: number;
  /** The device. */
  devId: number;
  /** Its PASID, with PASID_VALID. */
  pasid: number;
  /** Page request group. */
  grpid: number;
  /** `IOMMU_PGFAULT_PERM_*`. */
  perm: number;
  /** Must be 0. */
  reserved: number;
  /** Faulting address. */
  addr: bigint;
  /** Hint of the length, 0 if none. */
  length: number;
  /** Number to answer with. */
  cookie: number;
}

/** Layout of {@link IommuHwptPgfault}. */
export const IommuHwptPgfault: Struct<IommuHwptPgfault> = struct(
  "iommu_hwpt_pgfault",
  40,
  {
    flags: u32(0),
    devId: u32(4),
    pasid: u32(8),
    grpid: u32(12),
    perm: u32(16),
    reserved: u32(20),
    addr: u64(24),
    length: u32(32),
    cookie: u32(36),
  },
);

/** The answer to a fault group, as written to a fault queue. Linux: `struct iommu_hwpt_page_response`, 8 bytes. */
export interface IommuHwptPageResponse {
  /** The fault's cookie. */
  cookie: number;
  /** `IOMMUFD_PAGE_RESP_*`. */
  code: number;
}

/** Layout of {@link IommuHwptPageResponse}. */
export const IommuHwptPageResponse: Struct<IommuHwptPageResponse> = struct(
  "iommu_hwpt_page_response",
  8,
  {
    cookie: u32(0),
    code: u32(4),
  },
);
