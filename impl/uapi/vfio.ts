// SPDX-License-Identifier: GPL-2.0-only

/**
 * The VFIO type1 container API that iommufd answers to as well: the part of
 * `include/uapi/linux/vfio.h` that it implements.
 *
 * @module
 */

import { IommuIovaRange } from "./ioas.ts";
import { ioctl, type IoctlStruct, numbered, type PlainIoctl } from "./ioctl.ts";
import * as role from "./layout/roles.ts";
import { type Struct, struct } from "./layout/struct.ts";

/** What VFIO_GET_API_VERSION answers. */
export const VFIO_API_VERSION: number = 0;
/** ioctl: asks for the API version. */
export const VFIO_GET_API_VERSION: number = 0x3b64;
/** ioctl: asks whether an extension is there; the argument is its number. */
export const VFIO_CHECK_EXTENSION: number = 0x3b65;
/** ioctl: chooses the IOMMU type; the argument is its number. */
export const VFIO_SET_IOMMU: number = 0x3b66;
/** ioctl: asks for page sizes and IOVA ranges. */
export const VFIO_IOMMU_GET_INFO: number = 0x3b70;
/** ioctl: maps memory. */
export const VFIO_IOMMU_MAP_DMA: number = 0x3b71;
/** ioctl: unmaps memory. */
export const VFIO_IOMMU_UNMAP_DMA: number = 0x3b72;
/** ioctl: dirty tracking, which iommufd does not have here. */
export const VFIO_IOMMU_DIRTY_PAGES: number = 0x3b75;
/** Extension and IOMMU type: type1. */
export const VFIO_TYPE1_IOMMU: number = 1;
/** Extension: POWER, never there. */
export const VFIO_SPAPR_TCE_IOMMU: number = 2;
/** Extension and IOMMU type: type1 version 2. */
export const VFIO_TYPE1v2_IOMMU: number = 3;
/** Extension: DMA is cache coherent. */
export const VFIO_DMA_CC_IOMMU: number = 4;
/** Extension: POWER error handling, never there. */
export const VFIO_EEH: number = 5;
/** Extension: nesting, never there. */
export const VFIO_TYPE1_NESTING_IOMMU: number = 6;
/** Extension: POWER, never there. */
export const VFIO_SPAPR_TCE_v2_IOMMU: number = 7;
/** Extension and IOMMU type: no IOMMU. */
export const VFIO_NOIOMMU_IOMMU: number = 8;
/** Extension: UNMAP_DMA takes the ALL flag. */
export const VFIO_UNMAP_ALL: number = 9;
/** Extension: never there. */
export const VFIO_UPDATE_VADDR: number = 10;
/** `iovaPgsizes` is set. */
export const VFIO_IOMMU_INFO_PGSIZES: number = 1 << 0;
/** Capabilities are supported. */
export const VFIO_IOMMU_INFO_CAPS: number = 1 << 1;
/** Capability: valid IOVA. */
export const VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE: number = 1;
/** Capability: mappings left. */
export const VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL: number = 3;
/** The device may read. */
export const VFIO_DMA_MAP_FLAG_READ: number = 1 << 0;
/** The device may write. */
export const VFIO_DMA_MAP_FLAG_WRITE: number = 1 << 1;
/** Unmap everything. */
export const VFIO_DMA_UNMAP_FLAG_ALL: number = 1 << 1;

/** Start of each capability in an info chain. Linux: `struct vfio_info_cap_header`, 8 bytes. */
export interface VfioInfoCapHeader {
  /** `VFIO_IOMMU_TYPE1_INFO_CAP_*`. */
  id: number;
  /** Version of its layout. */
  version: number;
  /** Offset of the next capability from the start of the info struct, 0 at the end. */
  next: number;
}

/** The fields of a capability's start. */
const CAP_HEADER = {
  id: role.out(role.choice({
    IOVA_RANGE: VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
    DMA_AVAIL: VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
  }, "u16")),
  version: role.out(role.u16()),
  next: role.out(role.chain()),
};

/** Layout of {@link VfioInfoCapHeader}. */
export const VfioInfoCapHeader: Struct<VfioInfoCapHeader> = struct(
  "vfio_info_cap_header",
  CAP_HEADER,
);

/** Capability that lists the valid IOVA ranges; the ranges, 16 bytes each, follow. Linux: `struct vfio_iommu_type1_info_cap_iova_range`, 16 bytes. */
export interface VfioIommuType1InfoCapIovaRange extends VfioInfoCapHeader {
  /** Ranges that follow. */
  nrIovas: number;
  /** Must be 0. */
  reserved: number;
}

/** Layout of {@link VfioIommuType1InfoCapIovaRange}. */
export const VfioIommuType1InfoCapIovaRange: Struct<
  VfioIommuType1InfoCapIovaRange
> = struct("vfio_iommu_type1_info_cap_iova_range", {
  ...CAP_HEADER,
  nrIovas: role.out(role.count(IommuIovaRange)),
  reserved: role.out(role.unused()),
});

/** Capability that tells how many more mappings fit. Linux: `struct vfio_iommu_type1_info_dma_avail`, 12 bytes. */
export interface VfioIommuType1InfoDmaAvail extends VfioInfoCapHeader {
  /** Mappings. */
  avail: number;
}

/** Layout of {@link VfioIommuType1InfoDmaAvail}. */
export const VfioIommuType1InfoDmaAvail: Struct<VfioIommuType1InfoDmaAvail> =
  struct("vfio_iommu_type1_info_dma_avail", {
    ...CAP_HEADER,
    avail: role.out(role.count()),
  });

/** Answer of VFIO_IOMMU_GET_INFO. Linux: `struct vfio_iommu_type1_info`, 24 bytes. */
export interface VfioIommuType1Info {
  /** Bytes of this struct that the caller provides. */
  argsz: number;
  /** `VFIO_IOMMU_INFO_*`. */
  flags: number;
  /** Bitmap of page sizes. */
  iovaPgsizes: bigint;
  /** Offset of the first capability, 0 if they did not fit. */
  capOffset: number;
}

/** Layout of {@link VfioIommuType1Info}. */
export const VfioIommuType1Info: IoctlStruct<VfioIommuType1Info> = ioctl(
  { VFIO_IOMMU_GET_INFO },
  "vfio_iommu_type1_info",
  {
    argsz: role.inout(role.size()),
    flags: role.out(role.flags({
      PGSIZES: VFIO_IOMMU_INFO_PGSIZES,
      CAPS: VFIO_IOMMU_INFO_CAPS,
    })),
    iovaPgsizes: role.out(role.u64()),
    capOffset: role.out(
      role.chain(VfioIommuType1InfoCapIovaRange, VfioIommuType1InfoDmaAvail),
    ),
  },
  "iovaPgsizes",
);

/** Argument of VFIO_IOMMU_MAP_DMA. Linux: `struct vfio_iommu_type1_dma_map`, 32 bytes. */
export interface VfioIommuType1DmaMap {
  /** Bytes of this struct that the caller provides. */
  argsz: number;
  /** `VFIO_DMA_MAP_FLAG_*`. */
  flags: number;
  /** Address of the memory. */
  vaddr: bigint;
  /** IOVA to map at. */
  iova: bigint;
  /** Bytes (C: `size`). */
  length: bigint;
}

/** Layout of {@link VfioIommuType1DmaMap}. */
export const VfioIommuType1DmaMap: IoctlStruct<VfioIommuType1DmaMap> = ioctl(
  { VFIO_IOMMU_MAP_DMA },
  "vfio_iommu_type1_dma_map",
  {
    argsz: role.size(),
    flags: role.flags({
      READ: VFIO_DMA_MAP_FLAG_READ,
      WRITE: VFIO_DMA_MAP_FLAG_WRITE,
    }),
    vaddr: role.pointer("pins", "length"),
    iova: role.iova(),
    length: role.length(),
  },
);

/** Argument of VFIO_IOMMU_UNMAP_DMA. Linux: `struct vfio_iommu_type1_dma_unmap`, 24 bytes. */
export interface VfioIommuType1DmaUnmap {
  /** Bytes of this struct that the caller provides. */
  argsz: number;
  /** `VFIO_DMA_UNMAP_FLAG_ALL` or 0. */
  flags: number;
  /** First IOVA. */
  iova: bigint;
  /** Bytes (C: `size`); reply: bytes unmapped. */
  length: bigint;
}

/** Layout of {@link VfioIommuType1DmaUnmap}. */
export const VfioIommuType1DmaUnmap: IoctlStruct<VfioIommuType1DmaUnmap> =
  ioctl(
    { VFIO_IOMMU_UNMAP_DMA },
    "vfio_iommu_type1_dma_unmap",
    {
      argsz: role.size(),
      flags: role.flags({ ALL: VFIO_DMA_UNMAP_FLAG_ALL }),
      iova: role.iova(),
      length: role.inout(role.length()),
    },
  );

/** The extensions and the types of an IOMMU, by name. */
const EXTENSIONS = {
  TYPE1: VFIO_TYPE1_IOMMU,
  SPAPR_TCE: VFIO_SPAPR_TCE_IOMMU,
  TYPE1v2: VFIO_TYPE1v2_IOMMU,
  DMA_CC: VFIO_DMA_CC_IOMMU,
  EEH: VFIO_EEH,
  TYPE1_NESTING: VFIO_TYPE1_NESTING_IOMMU,
  SPAPR_TCE_v2: VFIO_SPAPR_TCE_v2_IOMMU,
  NOIOMMU: VFIO_NOIOMMU_IOMMU,
  UNMAP_ALL: VFIO_UNMAP_ALL,
  UPDATE_VADDR: VFIO_UPDATE_VADDR,
};

/** VFIO_GET_API_VERSION; nobody looks at its argument. */
export const VfioGetApiVersion: PlainIoctl = {
  ioctl: numbered({ VFIO_GET_API_VERSION }),
  arg: role.unused(),
};

/** VFIO_CHECK_EXTENSION; its argument is the extension. */
export const VfioCheckExtension: PlainIoctl = {
  ioctl: numbered({ VFIO_CHECK_EXTENSION }),
  arg: role.choice(EXTENSIONS),
};

/** VFIO_SET_IOMMU; its argument is the type. */
export const VfioSetIommu: PlainIoctl = {
  ioctl: numbered({ VFIO_SET_IOMMU }),
  arg: role.choice(EXTENSIONS),
};

/** VFIO_IOMMU_DIRTY_PAGES; its struct is not modelled. */
export const VfioIommuDirtyPages: PlainIoctl = {
  ioctl: numbered({ VFIO_IOMMU_DIRTY_PAGES }),
  arg: role.unused("u64"),
};
