// SPDX-License-Identifier: GPL-2.0-only

/**
 * A model of Linux's iommufd with a mock IOMMU behind it: no root, no hardware,
 * no special kernel.
 *
 * Where to begin, for each kind of reader:
 *
 * 1. A machine: {@link Kernel} owns all state, each {@link Process} makes system
 *    calls as programs do, {@link inspect} draws what they did.
 * 2. A client: {@link IommufdClient} is a typed way to make the calls of
 *    `/dev/iommu`, {@link VfioDevice} those of a device; {@link IommufdError}
 *    says why one failed.
 * 3. A device: a {@link PciDevice} of your own, or a {@link CopyEngine}.
 * 4. The driver of a device: it binds it as an {@link IommufdDevice}, or uses
 *    IOVA without DMA by an {@link Access}.
 * 5. The driver of an IOMMU: {@link IommuOps} and {@link Domain}.
 *
 * What VFIO containers, the selftest module and tools that treat all ioctls
 * alike need of the user API is in `@iommufd/kit/uapi`; what a kernel is made
 * of, in `@iommufd/kit/internals`.
 *
 * @example Map memory, and check what a mock device sees
 * ```ts
 * import { inspect, IommufdClient, Kernel } from "@iommufd/kit";
 * import { MAP_ANONYMOUS, MAP_SHARED, PROT_READ, PROT_WRITE } from "@iommufd/kit";
 *
 * const kernel = new Kernel();
 * const process = kernel.spawn();
 * const length = 0x10000;
 * const flags = MAP_SHARED | MAP_ANONYMOUS;
 * const userVa = process.mmap(0, length, PROT_READ | PROT_WRITE, flags);
 *
 * using iommufd = IommufdClient.open(process);
 * const { ioasId } = iommufd.ioasAlloc();
 * const { hwptId } = iommufd.mock.mockDomain({ ptId: ioasId });
 * const { iova } = iommufd.ioasMap({ ioasId, userVa, length });
 * iommufd.mock.checkMap({ hwptId, iova, length, userVa });
 * console.log(inspect(kernel));
 * ```
 *
 * @module
 */

// Where to begin, as said above: pages of documentation have these first.

export { Kernel } from "./impl/kernel.ts";
export { Process } from "./impl/kernel/simulated/process.ts";
export { inspect } from "./impl/inspect/inspect.ts";
export { IommufdClient } from "./impl/client/client.ts";
export { VfioDevice } from "./impl/client/vfio_device.ts";
export { IommufdError } from "./impl/client/error.ts";
export { PciDevice } from "./impl/pci/device.ts";
export { CopyEngine } from "./impl/pci/devices/copy_engine.ts";
export { IommufdDevice } from "./impl/iommufd/attach/device.ts";
export { Access } from "./impl/iommufd/access/access.ts";
export type { IommuOps } from "./impl/iommu/device.ts";
export { Domain } from "./impl/iommu/domain.ts";

// For everybody: a machine, its processes, and their way to iommufd.

export type { IommufdKernel, IommufdOptions } from "./impl/iommufd/kernel.ts";
export type { PciOptions } from "./impl/kernel.ts";
export type { KernelOptions, SpawnOptions } from "./impl/kernel/core.ts";
export type { SimulatedMachineOptions } from "./impl/kernel/simulated/machine.ts";
export type { FrameOrder } from "./impl/kernel/simulated/pages/frames.ts";
export {
  BusError,
  SegmentationFault,
} from "./impl/kernel/interfaces/process_memory.ts";
export { KernelBug } from "./impl/kernel/warn.ts";
export { draw } from "./impl/inspect/inspect.ts";
export * from "./impl/inspect/snapshot.ts";
export type { AreaSnapshot, AxisSpan } from "./impl/inspect/axis.ts";
export type { ContextSnapshot, IoasSnapshot } from "./impl/inspect/context.ts";
export type { ObjectSnapshot } from "./impl/inspect/objects.ts";
export type {
  IoPageRun,
  PageTableSnapshot,
} from "./impl/inspect/page_tables.ts";
export type { PagesSnapshot } from "./impl/inspect/pages.ts";
export type { PagesRun } from "./impl/inspect/pages_runs.ts";
export type {
  BarSnapshot,
  DmaRange,
  DmaSnapshot,
  PciSnapshot,
} from "./impl/inspect/pci.ts";
export * from "./impl/client/client.ts";
export type { CallArguments } from "./impl/client/error.ts";
export type * from "./impl/client/hwpt_client.ts";
export type * from "./impl/client/mock_client.ts";
export type { OptionClient, RlimitMode } from "./impl/client/option_client.ts";
export type * from "./impl/client/vfio_client.ts";
export * from "./impl/client/vfio_device.ts";
export type { BarRange, VfioFeatures } from "./impl/client/vfio_features.ts";
export * from "./impl/client/vfio_group.ts";
export { ClientFile } from "./impl/client/client_file.ts";
export type * from "./impl/client/viommu_client.ts";

// The user API of iommufd and of the system calls around it: constants, structs, errnos.

export * from "./impl/uapi/errno.ts";
export * from "./impl/uapi/iommufd.ts";
export * from "./impl/uapi/mman.ts";
export * from "./impl/uapi/revision.ts";

// For drivers of devices: put a device under an iommufd, or use IOVA without DMA.

export { iommufdCtxFromFd, iommufdCtxFromFile } from "./impl/iommufd/main.ts";
export * from "./impl/iommufd/attach/device.ts";
export { IOMMUFD_ATTACH_FLAGS_ALLOW_UNSAFE_INTERRUPT } from "./impl/iommufd/attach/hwpt_attachments.ts";
export type { AccessOps } from "./impl/iommufd/access/access.ts";
export {
  IOMMUFD_ACCESS_RW_KTHREAD,
  IOMMUFD_ACCESS_RW_READ,
  IOMMUFD_ACCESS_RW_WRITE,
} from "./impl/iommufd/pages/source.ts";
export {
  vfioCompatIoasCreate,
  vfioCompatIoasGetId,
  vfioCompatIoasId,
  vfioCompatSetNoIommu,
} from "./impl/iommufd/vfio_compat/compat_ioas.ts";
export { File } from "./impl/kernel/files/file.ts";
export * from "./impl/kernel/files/dma_buf.ts";

// For drivers of both: numbers that are told apart.

export {
  type Iova,
  type PageIndex,
  type Pfn,
  pfnOf,
  toIova,
} from "./impl/lib/brands.ts";
export type { FrameList } from "./impl/lib/frame_list.ts";

// For devices of one's own: `kernel.addPciDevice(new MyDevice())`.

export {
  type Bar,
  type BarOptions,
  type Register,
  type Registers,
} from "./impl/pci/bar.ts";
export type { PciBus, PciPlace } from "./impl/pci/bus.ts";
export type { VtdRegisters } from "./impl/pci/iommu.ts";
export type { Identity, MsixPlace } from "./impl/pci/config_layout.ts";
export {
  type PciDeviceOptions,
  type VirtualFunctions,
} from "./impl/pci/device.ts";
export type { DmaLog, LoggedRange } from "./impl/pci/dma_log.ts";
export type { Rom } from "./impl/pci/rom.ts";
export type { Migration } from "./impl/pci/migration.ts";
export type { Sriov, SriovOptions } from "./impl/pci/sriov.ts";
export type { PageAnswer } from "./impl/iommu/hardware/page_requests.ts";
export { type CopyEngineOptions } from "./impl/pci/devices/copy_engine.ts";
export { NvmeDrive } from "./impl/pci/devices/nvme/nvme.ts";
export {
  NvmeMemory,
  type NvmeStorage,
} from "./impl/pci/devices/nvme/storage.ts";
export { Ioat } from "./impl/pci/devices/ioat.ts";
export { Igb } from "./impl/pci/devices/igb/igb.ts";

// For drivers of IOMMUs; examples/drivers/simple_iommu.ts is one to copy from.

export {
  Device,
  type HwInfo,
  type IommuCap,
  type PciPasid,
} from "./impl/iommu/device.ts";
export * from "./impl/iommu/dirty.ts";
export { Dma, DmaFault } from "./impl/iommu/hardware/dma.ts";
export {
  type DomainOptions,
  type DomainType,
  IOMMU_CACHE,
  IOMMU_MMIO,
  IOMMU_READ,
  IOMMU_WRITE,
} from "./impl/iommu/domain.ts";
export type {
  IoPage,
  IoPageTable,
} from "./impl/iommu/page_table/page_table.ts";
export { AttachHandle, Group, IOMMU_NO_PASID } from "./impl/iommu/group.ts";
export { Iommu } from "./impl/iommu/iommu.ts";
export { prepareMsi } from "./impl/iommu/msi.ts";
export { iommuIovaToPhys } from "./impl/iommu/map.ts";
export * from "./impl/iommu/page_fault.ts";
export { type FaultParam, IopfQueue } from "./impl/iommu/page_fault_queue.ts";
export { probeDevice, releaseDevice } from "./impl/iommu/probe.ts";
export type { ResvRegion, ResvType } from "./impl/iommu/resv.ts";
export * from "./impl/iommu/user_data.ts";
export type * from "./impl/iommu/viommu/viommu.ts";
export { s32, u16, u32, u64, u8 } from "./impl/uapi/layout/roles.ts";
export {
  type Struct,
  struct,
  type U64,
  type Values,
} from "./impl/uapi/layout/struct.ts";
export { MockDevice, MockIommuOps } from "./impl/mock/mock_device.ts";
export {
  type DirtyPages,
  MockBlockedDomain,
  MockDomain,
} from "./impl/mock/mock_domain.ts";
export { MockNestedDomain } from "./impl/mock/mock_nested_domain.ts";
