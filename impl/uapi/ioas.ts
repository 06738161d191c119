// SPDX-License-Identifier: GPL-2.0-only

/**
 * The ioctls that iommufd began with: objects, IO address spaces, options.
 *
 * @module
 */

import { ioctl, type IoctlStruct, type Sized } from "./ioctl.ts";
import * as role from "./layout/roles.ts";
import { MOCK_FLAGS_ACCESS_SYZ } from "./selftest_values.ts";
import { type Struct, struct } from "./layout/struct.ts";

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
/** ioctl: Maps a part of a file, or of a DMA buffer. */
export const IOMMU_IOAS_MAP_FILE: number = 0x3b8f;
/** ioctl: Makes the caller the owner of all mapped memory. */
export const IOMMU_IOAS_CHANGE_PROCESS: number = 0x3b92;
/** ioctl: tells what an IOVA of devices without IOMMU stands for. */
export const IOMMU_IOAS_NOIOMMU_GET_PA: number = 0x3b95;

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

/** The flags of MAP and COPY. */
const MAP_FLAGS = {
  FIXED_IOVA: IOMMU_IOAS_MAP_FIXED_IOVA,
  WRITEABLE: IOMMU_IOAS_MAP_WRITEABLE,
  READABLE: IOMMU_IOAS_MAP_READABLE,
};

/** Destroys an object. Linux: `struct iommu_destroy`, 8 bytes. */
export interface IommuDestroy extends Sized {
  /** Id of the object. */
  id: number;
}

/** Layout of {@link IommuDestroy}. */
export const IommuDestroy: IoctlStruct<IommuDestroy> = ioctl(
  { IOMMU_DESTROY },
  "iommu_destroy",
  { size: role.size(), id: role.id() },
);

/** Allocates an IOAS. Linux: `struct iommu_ioas_alloc`, 12 bytes. */
export interface IommuIoasAlloc extends Sized {
  /** Must be 0. */
  flags: number;
  /** Reply: id of the new IOAS. */
  outIoasId: number;
}

/** Layout of {@link IommuIoasAlloc}. */
export const IommuIoasAlloc: IoctlStruct<IommuIoasAlloc> = ioctl(
  { IOMMU_IOAS_ALLOC },
  "iommu_ioas_alloc",
  {
    size: role.size(),
    flags: role.flags(),
    outIoasId: role.out(role.id("IOAS")),
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
  { start: role.iova(), last: role.iova() },
);

/** Asks which IOVA an IOAS can map. Linux: `struct iommu_ioas_iova_ranges`, 32 bytes. */
export interface IommuIoasIovaRanges extends Sized {
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
export const IommuIoasIovaRanges: IoctlStruct<IommuIoasIovaRanges> = ioctl(
  { IOMMU_IOAS_IOVA_RANGES },
  "iommu_ioas_iova_ranges",
  {
    size: role.size(),
    ioasId: role.id("IOAS"),
    numIovas: role.inout(role.count()),
    reserved: role.reserved(),
    allowedIovas: role.pointer("writes", "numIovas", { unit: IommuIovaRange }),
    outIovaAlignment: role.out(role.alignment()),
  },
);

/** Sets the IOVA that kernel-chosen maps keep to and that may not become reserved. Linux: `struct iommu_ioas_allow_iovas`, 24 bytes. */
export interface IommuIoasAllowIovas extends Sized {
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
export const IommuIoasAllowIovas: IoctlStruct<IommuIoasAllowIovas> = ioctl(
  { IOMMU_IOAS_ALLOW_IOVAS },
  "iommu_ioas_allow_iovas",
  {
    size: role.size(),
    ioasId: role.id("IOAS"),
    numIovas: role.count(),
    reserved: role.reserved("u32", { since: "6.2" }),
    allowedIovas: role.pointer("reads", "numIovas", { unit: IommuIovaRange }),
  },
);

/** Maps user memory into an IOAS. Linux: `struct iommu_ioas_map`, 40 bytes. */
export interface IommuIoasMap extends Sized {
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
export const IommuIoasMap: IoctlStruct<IommuIoasMap> = ioctl(
  { IOMMU_IOAS_MAP },
  "iommu_ioas_map",
  {
    size: role.size(),
    flags: role.flags(MAP_FLAGS),
    ioasId: role.id("IOAS"),
    reserved: role.reserved(),
    userVa: role.pointer("pins", "length"),
    length: role.length(),
    iova: role.inout(role.iova()),
  },
);

/** Maps a part of a file into an IOAS: of a memfd, of a file on tmpfs or hugetlbfs, or of a DMA buffer. Linux: `struct iommu_ioas_map_file`, 40 bytes. */
export interface IommuIoasMapFile extends Sized {
  /** `IOMMU_IOAS_MAP_*`. */
  flags: number;
  /** The IOAS. */
  ioasId: number;
  /** The file's descriptor. */
  fd: number;
  /** First byte of the file to map. */
  start: bigint;
  /** Bytes to map. */
  length: bigint;
  /** IOVA to map at with FIXED_IOVA; reply: where it was mapped. */
  iova: bigint;
}

/** Layout of {@link IommuIoasMapFile}. */
export const IommuIoasMapFile: IoctlStruct<IommuIoasMapFile> = ioctl(
  { IOMMU_IOAS_MAP_FILE, since: "6.13" },
  "iommu_ioas_map_file",
  {
    size: role.size(),
    flags: role.flags(MAP_FLAGS),
    ioasId: role.id("IOAS"),
    fd: role.fd("file", "s32"),
    start: role.u64(),
    length: role.length(),
    iova: role.inout(role.iova()),
  },
);

/** Makes the caller pay for all memory that is mapped, and be its owner. All of it must be of files. Linux: `struct iommu_ioas_change_process`, 8 bytes. */
export interface IommuIoasChangeProcess extends Sized {
  /** Must be 0. */
  reserved: number;
}

/** Layout of {@link IommuIoasChangeProcess}. */
export const IommuIoasChangeProcess: IoctlStruct<IommuIoasChangeProcess> =
  ioctl(
    { IOMMU_IOAS_CHANGE_PROCESS, since: "6.14" },
    "iommu_ioas_change_process",
    { size: role.size(), reserved: role.reserved() },
  );

/** Tells which physical memory an IOVA stands for, for devices without an IOMMU. Linux: `struct iommu_ioas_noiommu_get_pa`, 40 bytes. */
export interface IommuIoasNoiommuGetPa extends Sized {
  /** Must be 0. */
  flags: number;
  /** The IOAS. */
  ioasId: number;
  /** Must be 0. */
  reserved: number;
  /** First IOVA. */
  iova: bigint;
  /** Bytes; reply: how many of them are contiguous in memory. */
  length: bigint;
  /** Reply: the physical address. */
  outPhys: bigint;
}

/** Layout of {@link IommuIoasNoiommuGetPa}. */
export const IommuIoasNoiommuGetPa: IoctlStruct<IommuIoasNoiommuGetPa> = ioctl(
  { IOMMU_IOAS_NOIOMMU_GET_PA, since: "7.3" },
  "iommu_ioas_noiommu_get_pa",
  {
    size: role.size(),
    flags: role.flags(),
    ioasId: role.id("IOAS"),
    reserved: role.reserved(),
    iova: role.iova(),
    length: role.inout(role.length()),
    outPhys: role.out(role.u64()),
  },
);

/** Maps the memory behind one IOVA range at another. Linux: `struct iommu_ioas_copy`, 40 bytes. */
export interface IommuIoasCopy extends Sized {
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
export const IommuIoasCopy: IoctlStruct<IommuIoasCopy> = ioctl(
  { IOMMU_IOAS_COPY },
  "iommu_ioas_copy",
  {
    size: role.size(),
    // Only the selftest module knows the last one, and v3's does not.
    flags: role.flags({ ...MAP_FLAGS, SYZ: MOCK_FLAGS_ACCESS_SYZ }),
    dstIoasId: role.id("IOAS"),
    srcIoasId: role.id("IOAS"),
    length: role.length(),
    dstIova: role.inout(role.iova()),
    srcIova: role.iova(),
  },
);

/** Unmaps whole areas. Linux: `struct iommu_ioas_unmap`, 24 bytes. */
export interface IommuIoasUnmap extends Sized {
  /** The IOAS. */
  ioasId: number;
  /** First IOVA. */
  iova: bigint;
  /** Bytes; with IOVA 0, 2^64-1 means everything. Reply: bytes unmapped. */
  length: bigint;
}

/** Layout of {@link IommuIoasUnmap}. */
export const IommuIoasUnmap: IoctlStruct<IommuIoasUnmap> = ioctl(
  { IOMMU_IOAS_UNMAP },
  "iommu_ioas_unmap",
  {
    size: role.size(),
    ioasId: role.id("IOAS"),
    iova: role.iova(),
    length: role.inout(role.length()),
  },
);

/** Reads or sets an option. Linux: `struct iommu_option`, 24 bytes. */
export interface IommuOption extends Sized {
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
export const IommuOption: IoctlStruct<IommuOption> = ioctl(
  { IOMMU_OPTION },
  "iommu_option",
  {
    size: role.size(),
    optionId: role.choice({
      RLIMIT_MODE: IOMMU_OPTION_RLIMIT_MODE,
      HUGE_PAGES: IOMMU_OPTION_HUGE_PAGES,
    }),
    op: role.choice(
      { SET: IOMMU_OPTION_OP_SET, GET: IOMMU_OPTION_OP_GET },
      "u16",
    ),
    reserved: role.reserved("u16", { since: "6.2" }),
    objectId: role.idOrZero("IOAS"),
    val64: role.inout(role.u64()),
  },
);

/** Reads, sets or clears the IOAS that the VFIO container ioctls act on. Linux: `struct iommu_vfio_ioas`, 12 bytes. */
export interface IommuVfioIoas extends Sized {
  /** The IOAS; reply to GET. */
  ioasId: number;
  /** `IOMMU_VFIO_IOAS_*`. */
  op: number;
  /** Must be 0. */
  reserved: number;
}

/** Layout of {@link IommuVfioIoas}. */
export const IommuVfioIoas: IoctlStruct<IommuVfioIoas> = ioctl(
  { IOMMU_VFIO_IOAS },
  "iommu_vfio_ioas",
  {
    size: role.size(),
    ioasId: role.inout(role.idOrZero("IOAS")),
    op: role.choice({
      GET: IOMMU_VFIO_IOAS_GET,
      SET: IOMMU_VFIO_IOAS_SET,
      CLEAR: IOMMU_VFIO_IOAS_CLEAR,
    }, "u16"),
    reserved: role.reserved("u16"),
  },
);
