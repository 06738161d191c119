// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the type1 container has beyond what iommufd answers to in its place:
 * see `../vfio.ts` for the rest.
 *
 * @module
 */

import * as role from "../layout/roles.ts";
import { type Struct, struct } from "../layout/struct.ts";

/** Capability of a container: its dirty tracking. */
export const VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION: number = 2;
/** MAP_DMA: memory that is mapped has another address from now on. */
export const VFIO_DMA_MAP_FLAG_VADDR: number = 1 << 2;
/** UNMAP_DMA: tells which pages were written. */
export const VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP: number = 1 << 0;
/** UNMAP_DMA: memory stays mapped, but has no address for a while. */
export const VFIO_DMA_UNMAP_FLAG_VADDR: number = 1 << 2;
/** DIRTY_PAGES: begins to note what is written. */
export const VFIO_IOMMU_DIRTY_PAGES_FLAG_START: number = 1 << 0;
/** DIRTY_PAGES: ends that. */
export const VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP: number = 1 << 1;
/** DIRTY_PAGES: tells what was written. */
export const VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP: number = 1 << 2;

/** Linux: `struct vfio_iommu_type1_info_cap_migration`, 32 bytes. */
export interface VfioIommuType1InfoCapMigration {
  /** `VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION`. */
  id: number;
  /** Version of its layout. */
  version: number;
  /** Offset of the next capability from the start of the info struct, 0 at the end. */
  next: number;
  /** None. */
  flags: number;
  /** Page sizes that a bit of a bitmap can stand for. */
  pgsizeBitmap: bigint;
  /** Bytes of the longest bitmap. */
  maxDirtyBitmapSize: bigint;
}

/** Layout of {@link VfioIommuType1InfoCapMigration}. */
export const VfioIommuType1InfoCapMigration: Struct<
  VfioIommuType1InfoCapMigration
> = struct("vfio_iommu_type1_info_cap_migration", {
  id: role.out(role.u16()),
  version: role.out(role.u16()),
  next: role.out(role.chain()),
  flags: role.out(role.flags()),
  pgsizeBitmap: role.out(role.u64()),
  maxDirtyBitmapSize: role.out(role.u64()),
});

/** A bitmap of user space's. Linux: `struct vfio_bitmap`, 24 bytes. */
export interface VfioBitmap {
  /** Bytes that a bit stands for. */
  pgsize: bigint;
  /** Bytes of it (C: `size`). */
  length: bigint;
  /** Its address. */
  data: bigint;
}

/** Layout of {@link VfioBitmap}. */
export const VfioBitmap: Struct<VfioBitmap> = struct("vfio_bitmap", {
  pgsize: role.alignment(),
  length: role.length(),
  data: role.pointer("writes", "length"),
});

/** Argument of VFIO_IOMMU_DIRTY_PAGES; with GET_BITMAP a range and a {@link VfioBitmap} follow. Linux: `struct vfio_iommu_type1_dirty_bitmap`, 8 bytes. */
export interface VfioIommuType1DirtyBitmap {
  /** Bytes of this struct and what follows. */
  argsz: number;
  /** One of `VFIO_IOMMU_DIRTY_PAGES_FLAG_*`. */
  flags: number;
}

/** Layout of {@link VfioIommuType1DirtyBitmap}. */
export const VfioIommuType1DirtyBitmap: Struct<VfioIommuType1DirtyBitmap> =
  struct("vfio_iommu_type1_dirty_bitmap", {
    argsz: role.size(),
    flags: role.flags({
      START: VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
      STOP: VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
      GET_BITMAP: VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
    }),
  });

/** Linux: `struct vfio_iommu_type1_dirty_bitmap_get`, 40 bytes, without its bitmap 16. */
export interface VfioIommuType1DirtyRange {
  /** First IOVA. */
  iova: bigint;
  /** Bytes (C: `size`). */
  length: bigint;
}

/** Layout of {@link VfioIommuType1DirtyRange}. */
export const VfioIommuType1DirtyRange: Struct<VfioIommuType1DirtyRange> =
  struct("vfio_iommu_type1_dirty_bitmap_get", {
    iova: role.iova(),
    length: role.length(),
  });
