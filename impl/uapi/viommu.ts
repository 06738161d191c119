// SPDX-License-Identifier: GPL-2.0-only

/**
 * The ioctls for virtual IOMMUs: what Linux 6.13 to 6.17 added.
 *
 * @module
 */

import { ioctl, type IoctlStruct, type Sized } from "./ioctl.ts";
import * as role from "./layout/roles.ts";
import { type Struct, struct } from "./layout/struct.ts";
import {
  IOMMU_HW_QUEUE_TYPE_SELFTEST,
  IOMMU_VEVENTQ_TYPE_SELFTEST,
  IOMMU_VIOMMU_TYPE_SELFTEST,
  ViommuSelftest,
} from "./selftest_viommu.ts";

/** ioctl: Allocates a virtual IOMMU (Linux 6.13). */
export const IOMMU_VIOMMU_ALLOC: number = 0x3b90;
/** ioctl: Makes a device known to a virtual IOMMU (Linux 6.13). */
export const IOMMU_VDEVICE_ALLOC: number = 0x3b91;
/** ioctl: Allocates a queue of a virtual IOMMU's events (Linux 6.15). */
export const IOMMU_VEVENTQ_ALLOC: number = 0x3b93;
/** ioctl: Gives hardware a queue in guest memory (Linux 6.17). */
export const IOMMU_HW_QUEUE_ALLOC: number = 0x3b94;

/** No type: it is refused. */
export const IOMMU_VIOMMU_TYPE_DEFAULT: number = 0;
/** Arm SMMUv3. */
export const IOMMU_VIOMMU_TYPE_ARM_SMMUV3: number = 1;
/** NVIDIA Tegra241 CMDQV. */
export const IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV: number = 2;
/** Arm SMMUv3: commands of its command queue. */
export const IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3: number = 1;
/** No type: it is refused. */
export const IOMMU_VEVENTQ_TYPE_DEFAULT: number = 0;
/** Arm SMMUv3: records of its event queue. */
export const IOMMU_VEVENTQ_TYPE_ARM_SMMUV3: number = 1;
/** NVIDIA Tegra241 CMDQV: error maps. */
export const IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV: number = 2;
/** Events were lost before this one. */
export const IOMMU_VEVENTQ_FLAG_LOST_EVENTS: number = 1 << 0;
/** No type: it is refused. */
export const IOMMU_HW_QUEUE_TYPE_DEFAULT: number = 0;
/** NVIDIA Tegra241 CMDQV: a command queue. */
export const IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV: number = 1;

/** Allocates a virtual IOMMU. Linux: `struct iommu_viommu_alloc`, 40 bytes. */
export interface IommuViommuAlloc extends Sized {
  /** Must be 0. */
  flags: number;
  /** `IOMMU_VIOMMU_TYPE_*`. */
  type: number;
  /** A device behind the physical IOMMU. */
  devId: number;
  /** A HWPT that others can be nested in. */
  hwptId: number;
  /** Reply: id of the virtual IOMMU. */
  outViommuId: number;
  /** Bytes of driver data, 0 for none. */
  dataLen: number;
  /** Nobody looks at it. */
  reserved: number;
  /** Address of the driver data. */
  dataUptr: bigint;
}

/** Layout of {@link IommuViommuAlloc}. */
export const IommuViommuAlloc: IoctlStruct<IommuViommuAlloc> = ioctl(
  { IOMMU_VIOMMU_ALLOC, since: "6.13" },
  "iommu_viommu_alloc",
  {
    size: role.size(),
    flags: role.flags(),
    type: role.choice({
      ARM_SMMUV3: IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
      TEGRA241_CMDQV: IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV,
      SELFTEST: IOMMU_VIOMMU_TYPE_SELFTEST,
    }),
    devId: role.id("DEVICE"),
    hwptId: role.id("HWPT_PAGING"),
    outViommuId: role.out(role.id("VIOMMU")),
    ...role.since("6.17", {
      dataLen: role.length("u32"),
      reserved: role.unused(),
      dataUptr: role.pointer("reads or writes", "dataLen", {
        formats: {
          field: "type",
          structs: { [IOMMU_VIOMMU_TYPE_SELFTEST]: ViommuSelftest },
        },
      }),
    }),
  },
);

/** Makes a device known to a virtual IOMMU. Linux: `struct iommu_vdevice_alloc`, 24 bytes. */
export interface IommuVdeviceAlloc extends Sized {
  /** The virtual IOMMU. */
  viommuId: number;
  /** The device. */
  devId: number;
  /** Reply: id of the virtual device. */
  outVdeviceId: number;
  /** What the guest's IOMMU calls the device: a stream id, a requester id. */
  virtId: bigint;
}

/** Layout of {@link IommuVdeviceAlloc}. */
export const IommuVdeviceAlloc: IoctlStruct<IommuVdeviceAlloc> = ioctl(
  { IOMMU_VDEVICE_ALLOC, since: "6.13" },
  "iommu_vdevice_alloc",
  {
    size: role.size(),
    viommuId: role.id("VIOMMU"),
    devId: role.id("DEVICE"),
    outVdeviceId: role.out(role.id("VDEVICE")),
    virtId: role.u64(),
  },
);

/** Allocates a queue of events. Linux: `struct iommu_veventq_alloc`, 32 bytes. */
export interface IommuVeventqAlloc extends Sized {
  /** Must be 0. */
  flags: number;
  /** The virtual IOMMU. */
  viommuId: number;
  /** `IOMMU_VEVENTQ_TYPE_*`. */
  type: number;
  /** Events that it holds at most. */
  veventqDepth: number;
  /** Reply: id of the queue. */
  outVeventqId: number;
  /** Reply: descriptor to read events from. */
  outVeventqFd: number;
  /** Must be 0. */
  reserved: number;
}

/** Layout of {@link IommuVeventqAlloc}. */
export const IommuVeventqAlloc: IoctlStruct<IommuVeventqAlloc> = ioctl(
  { IOMMU_VEVENTQ_ALLOC, since: "6.15" },
  "iommu_veventq_alloc",
  {
    size: role.size(),
    flags: role.flags(),
    viommuId: role.id("VIOMMU"),
    type: role.choice({
      ARM_SMMUV3: IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
      TEGRA241_CMDQV: IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV,
      SELFTEST: IOMMU_VEVENTQ_TYPE_SELFTEST,
    }),
    veventqDepth: role.count(),
    outVeventqId: role.out(role.id("VEVENTQ")),
    outVeventqFd: role.out(role.fd("event queue")),
    reserved: role.reserved(),
  },
  "outVeventqFd",
);

/** What each event that is read begins with. Linux: `struct iommufd_vevent_header`, 8 bytes. */
export interface IommufdVeventHeader {
  /** `IOMMU_VEVENTQ_FLAG_LOST_EVENTS`, of a header without event, or 0. */
  flags: number;
  /** Counts events, also those that were lost; 0 follows 2^31-1. */
  sequence: number;
}

/** Layout of {@link IommufdVeventHeader}. */
export const IommufdVeventHeader: Struct<IommufdVeventHeader> = struct(
  "iommufd_vevent_header",
  {
    flags: role.out(role.flags({
      LOST_EVENTS: IOMMU_VEVENTQ_FLAG_LOST_EVENTS,
    })),
    sequence: role.out(role.u32()),
  },
);

/** Gives hardware a queue in guest memory. Linux: `struct iommu_hw_queue_alloc`, 40 bytes. */
export interface IommuHwQueueAlloc extends Sized {
  /** Must be 0. */
  flags: number;
  /** The virtual IOMMU. */
  viommuId: number;
  /** `IOMMU_HW_QUEUE_TYPE_*`. */
  type: number;
  /** Which of the virtual IOMMU's queues it is. */
  index: number;
  /** Reply: id of the queue. */
  outHwQueueId: number;
  /** Its first byte, an address of the guest: an IOVA of the HWPT that the virtual IOMMU is on. */
  nestingParentIova: bigint;
  /** Bytes. */
  length: bigint;
}

/** Layout of {@link IommuHwQueueAlloc}. */
export const IommuHwQueueAlloc: IoctlStruct<IommuHwQueueAlloc> = ioctl(
  { IOMMU_HW_QUEUE_ALLOC, since: "6.17" },
  "iommu_hw_queue_alloc",
  {
    size: role.size(),
    flags: role.flags(),
    viommuId: role.id("VIOMMU"),
    type: role.choice({
      TEGRA241_CMDQV: IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV,
      SELFTEST: IOMMU_HW_QUEUE_TYPE_SELFTEST,
    }),
    index: role.u32(),
    outHwQueueId: role.out(role.id("HW_QUEUE")),
    nestingParentIova: role.iova(),
    length: role.length(),
  },
);
