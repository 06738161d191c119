// SPDX-License-Identifier: GPL-2.0-only

/**
 * Types of what a kernel is made of, for those who look inside: everything
 * that can be reached from a `Kernel`.
 *
 * @module
 */

export type { DmaCookie } from "./iommu/domain.ts";
export type { AccountMode } from "./iommufd/accounting.ts";
export type { AreaSlice, IoptArea } from "./iommufd/area.ts";
export type { IommufdFault } from "./iommufd/fault.ts";
export type { IommufdGroup } from "./iommufd/group.ts";
export type { HwPagetable, HwptPaging } from "./iommufd/hw_pagetable.ts";
export type {
  IoPagetable,
  IoptAccess,
  UnmapResult,
} from "./iommufd/io_pagetable.ts";
export type { Ioas } from "./iommufd/ioas.ts";
export type { Iommufd, IommufdCtx } from "./iommufd/main.ts";
export type {
  IommufdObject,
  ObjectClass,
  ObjectTable,
} from "./iommufd/object.ts";
export type { IoptPages, PagesAccess } from "./iommufd/pages.ts";
export type { PagesList, PagesListElement } from "./iommufd/pages_list.ts";
export type { IoptRange } from "./iommufd/reserved.ts";
export type { CommandBuffer, Difference, IoctlOp } from "./iommufd/ucmd.ts";
export type { AddressSpace, Mapping } from "./kernel/address_space.ts";
export type { KernelCore } from "./kernel/core.ts";
export type {
  Credentials,
  ResourceLimits,
  User,
} from "./kernel/credentials.ts";
export type { FaultInjection } from "./kernel/fault_injection.ts";
export type { FdTable } from "./kernel/fd_table.ts";
export type { Frames } from "./kernel/frames.ts";
export type { MemoryObject } from "./kernel/memory_object.ts";
export type { Mm } from "./kernel/mm.ts";
export type { PageTable } from "./kernel/page_table.ts";
export type { PrivatePages } from "./kernel/private_pages.ts";
export type { TempBuffers } from "./kernel/temp_buffers.ts";
export type { ProcessParts } from "./kernel/process.ts";
export type { UserPages } from "./kernel/user_pages.ts";
export type { Vma, VmaList } from "./kernel/vma.ts";
export type { Warnings } from "./kernel/warn.ts";
export type { AreaTree } from "./lib/area_tree.ts";
export type { IdTable } from "./lib/id_table.ts";
export type { IntervalNode, IntervalTree } from "./lib/interval_tree.ts";
export type { Key } from "./lib/key.ts";
export type { SparseUint32Array } from "./lib/sparse_array.ts";
export type { XarrayNodes } from "./lib/xarray_nodes.ts";
