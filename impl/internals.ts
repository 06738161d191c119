// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a kernel is made of, for tools that look inside or add to it: the types
 * of everything that can be reached from a `Kernel`, and what an ioctl of
 * one's own needs.
 *
 * @module
 */

export type { Table, TableMemory } from "./iommu/amdv1/table.ts";
export type { DmaCookie, MsiCookie, SwMsiHandler } from "./iommu/domain.ts";
export type { AccountMode, PagesOwner } from "./iommufd/pages/accounting.ts";
export type { IoptArea } from "./iommufd/pages/area.ts";
export type { IommufdFault } from "./iommufd/events/fault.ts";
export type {
  Attachment,
  Attachments,
  AttachStrategy,
  Change,
} from "./iommufd/attach/attachments.ts";
export type { BoundGroup, IommufdGroup } from "./iommufd/attach/group.ts";
export type { NoIommuDomain, NoIommuOps } from "./iommufd/noiommu/domain.ts";
export type * from "./iommufd/attach/sw_msi.ts";
export type * from "./iommufd/events/event_queue.ts";
export type { HwPagetable, HwptPaging } from "./iommufd/hwpt/hw_pagetable.ts";
export type * from "./iommufd/hwpt/hwpt_nested.ts";
export type { IoptAccess } from "./iommufd/ioas/accesses.ts";
export type { AlignmentNeeds } from "./iommufd/ioas/alignment.ts";
export type {
  IoPagetable,
  MapOptions,
  UnmapResult,
} from "./iommufd/ioas/io_pagetable.ts";
export { Ioas } from "./iommufd/ioas/ioas.ts";
export type { Iommufd, IommufdCtx } from "./iommufd/main.ts";
export type * from "./iommufd/objects/object.ts";
export type { IoptPages, PagesAccess } from "./iommufd/pages/pages.ts";
export type * from "./iommufd/pages/source.ts";
export type { FilePart } from "./iommufd/pages/alloc_pages.ts";
export type * from "./iommufd/pages/pages_list.ts";
export type { PfnBatch } from "./iommufd/pages/pfn_batch.ts";
export type { PfnReader } from "./iommufd/pages/pfn_reader.ts";
export type { Unmapper } from "./iommufd/pages/unmapper.ts";
export type { IoptRange, ReservedTree } from "./iommufd/ioas/reserved.ts";
export {
  type CommandBuffer,
  type IoctlOp,
  ioctlOp,
  Ucmd,
} from "./iommufd/objects/ucmd.ts";
export type { IommufdVdevice } from "./iommufd/viommu/vdevice.ts";
export type { Veventq } from "./iommufd/viommu/veventq.ts";
export type { IommufdViommu } from "./iommufd/viommu/viommu.ts";
export type { MmapRegions } from "./iommufd/viommu/mmap.ts";
export type {
  AddressSpace,
  Mapping,
} from "./kernel/simulated/mappings/address_space.ts";
export type {
  MovableSpace,
  Remap,
} from "./kernel/simulated/mappings/mremap.ts";
export type { KernelCore } from "./kernel/core.ts";
export type {
  Credentials,
  ResourceLimits,
  User,
} from "./kernel/credentials.ts";
export type { FaultInjection } from "./kernel/fault_injection.ts";
export {
  type CopyStep,
  FAULT_STEPS,
  type StepName,
} from "./kernel/fault_steps.ts";
export type { Descriptors } from "./kernel/interfaces/descriptors.ts";
export type { FdTable } from "./kernel/files/fd_table.ts";
export type {
  DeviceMapping,
  Eventfd,
  FileMapping,
  MapRequest,
  OpenDevice,
  Polled,
} from "./kernel/files/file.ts";
export type { Tmpfs } from "./kernel/files/tmpfs.ts";
export type { Frames } from "./kernel/simulated/pages/frames.ts";
export type { SimulatedObject } from "./kernel/simulated/pages/memory_object.ts";
export type { Machine } from "./kernel/interfaces/machine.ts";
export type * from "./kernel/interfaces/memory_object.ts";
export type { Mm } from "./kernel/interfaces/mm.ts";
export type * from "./kernel/interfaces/physical_memory.ts";
export type {
  MmapArgs,
  MremapArgs,
  ProcessMemory,
} from "./kernel/interfaces/process_memory.ts";
export type { Task } from "./kernel/interfaces/task.ts";
export type { SimulatedMemory } from "./kernel/simulated/mappings/mmap.ts";
export type { SimulatedMachine } from "./kernel/simulated/machine.ts";
export type { PageTable } from "./kernel/simulated/pages/page_table.ts";
export type { PrivatePages } from "./kernel/simulated/pages/private_pages.ts";
export type { TempBuffers } from "./kernel/temp_buffers.ts";
export type { ProcessParts } from "./kernel/simulated/process.ts";
export type { UserPages } from "./kernel/simulated/mappings/user_pages.ts";
export type {
  Vma,
  VmaList,
  VmaOptions,
} from "./kernel/simulated/mappings/vma.ts";
export type { SystemCalls } from "./kernel/system_calls.ts";
export type { Warnings } from "./kernel/warn.ts";
export type { ConfigSpace } from "./pci/config_space.ts";
export type { InterruptSink, PciDriver, PciFunction } from "./pci/function.ts";
export type { PciDma } from "./pci/dma.ts";
export type { PageRequests } from "./iommu/hardware/page_requests.ts";
export type { PciDomain } from "./pci/iommu.ts";
export type { ConfigActions, VirtualConfig } from "./vfio/pci/config.ts";
export type { VfioDevice } from "./vfio/device.ts";
export type { IrqRequest, Irqs } from "./vfio/pci/irqs.ts";
export type { VfioPciDevice } from "./vfio/pci/pci_device.ts";
export type { GroupContainer, VfioGroup } from "./vfio/group.ts";
export type { BarExporter } from "./vfio/pci/dma_buf.ts";
export type { Ioeventfds } from "./vfio/pci/ioeventfd.ts";
export type { DeviceMigration } from "./vfio/migration/migration.ts";
export type { VfToken } from "./vfio/pci/vf_token.ts";
export type { Vfio } from "./vfio/vfio.ts";
export type { AreaRow, AreaTree } from "./lib/area_tree.ts";
export type { IdTable } from "./lib/id_table.ts";
export type { DoubleSpanIterator } from "./lib/span_iterator.ts";
export type { IntervalNode, IntervalTree } from "./lib/interval_tree.ts";
export type { RowTree } from "./lib/row_tree.ts";
export type { Key } from "./lib/key.ts";
export type { SparseUint32Array } from "./lib/sparse_array.ts";
export type { XarrayNodes } from "./lib/xarray_nodes.ts";
