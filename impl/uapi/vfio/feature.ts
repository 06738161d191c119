// SPDX-License-Identifier: GPL-2.0-only

/**
 * What VFIO devices may have beside regions and interrupts: features, resets of
 * a whole bus, eventfds that write.
 *
 * @module
 */

import { ioctl, type IoctlStruct } from "../ioctl.ts";
import * as role from "../layout/roles.ts";
import { type Struct, struct } from "../layout/struct.ts";

/** ioctl: asks which devices a reset of the bus would reset. */
export const VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: number = 0x3b70;
/** ioctl: resets the bus of a device. */
export const VFIO_DEVICE_PCI_HOT_RESET: number = 0x3b71;
/** ioctl: has an eventfd write to a region. */
export const VFIO_DEVICE_IOEVENTFD: number = 0x3b74;
/** ioctl: gets or sets what a device may have. */
export const VFIO_DEVICE_FEATURE: number = 0x3b75;

/** FEATURE: the number of the feature. */
export const VFIO_DEVICE_FEATURE_MASK: number = 0xffff;
/** FEATURE: gets it. */
export const VFIO_DEVICE_FEATURE_GET: number = 1 << 16;
/** FEATURE: sets it. */
export const VFIO_DEVICE_FEATURE_SET: number = 1 << 17;
/** FEATURE: asks whether that can be done. */
export const VFIO_DEVICE_FEATURE_PROBE: number = 1 << 18;
/** Feature: the token of who uses the device and its virtual functions. */
export const VFIO_DEVICE_FEATURE_PCI_VF_TOKEN: number = 0;
/** Feature: the device's power goes down until somebody wants something. */
export const VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY: number = 3;
/** Feature: the same, and an eventfd says when it is back. */
export const VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP: number = 4;
/** Feature: the power is back. */
export const VFIO_DEVICE_FEATURE_LOW_POWER_EXIT: number = 5;
/** Feature: a DMA buffer of a BAR. */
export const VFIO_DEVICE_FEATURE_DMA_BUF: number = 11;
/** Feature: what is left to be copied before a migration, second form. */
export const VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOV2: number = 12;

/** HOT_RESET_INFO: devices are named by their ids in an iommufd. */
export const VFIO_PCI_HOT_RESET_FLAG_DEV_ID: number = 1 << 0;
/** HOT_RESET_INFO: all of them are the caller's. */
export const VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED: number = 1 << 1;
/** HOT_RESET_INFO: a device of the caller's that has no id. */
export const VFIO_PCI_DEVID_OWNED: number = 0;
/** HOT_RESET_INFO: a device of somebody else's. */
export const VFIO_PCI_DEVID_NOT_OWNED: number = 0xffffffff;

/** IOEVENTFD: bytes to write, one of 1, 2, 4, 8. */
export const VFIO_DEVICE_IOEVENTFD_SIZE_MASK: number = 0xf;

/** Argument of VFIO_DEVICE_FEATURE; the data of the feature follow. Linux: `struct vfio_device_feature`, 8 bytes. */
export interface VfioDeviceFeature {
  /** Bytes of this struct and the data. */
  argsz: number;
  /** The feature, and `VFIO_DEVICE_FEATURE_*`. */
  flags: number;
}

/** Layout of {@link VfioDeviceFeature}. */
export const VfioDeviceFeature: IoctlStruct<VfioDeviceFeature> = ioctl(
  { VFIO_DEVICE_FEATURE, since: "6.6" },
  "vfio_device_feature",
  {
    argsz: role.size(),
    flags: role.u32(),
  },
);

/** Data of VFIO_DEVICE_FEATURE_DMA_BUF; ranges follow. Linux: `struct vfio_device_feature_dma_buf`, 16 bytes. */
export interface VfioDeviceFeatureDmaBuf {
  /** The BAR. */
  regionIndex: number;
  /** How the buffer is opened, `O_*`. */
  openFlags: number;
  /** None. */
  flags: number;
  /** Ranges that follow. */
  nrRanges: number;
}

/** Layout of {@link VfioDeviceFeatureDmaBuf}. */
export const VfioDeviceFeatureDmaBuf: Struct<VfioDeviceFeatureDmaBuf> = struct(
  "vfio_device_feature_dma_buf",
  {
    regionIndex: role.u32(),
    openFlags: role.u32(),
    flags: role.flags(),
    nrRanges: role.count(),
  },
);

/** A part of a BAR. Linux: `struct vfio_region_dma_range`, 16 bytes. */
export interface VfioRegionDmaRange {
  /** Where it begins in the BAR. */
  offset: bigint;
  /** Bytes. */
  length: bigint;
}

/** Layout of {@link VfioRegionDmaRange}. */
export const VfioRegionDmaRange: Struct<VfioRegionDmaRange> = struct(
  "vfio_region_dma_range",
  { offset: role.u64(), length: role.length() },
);

/** A device that a reset of the bus resets. Linux: `struct vfio_pci_dependent_device`, 8 bytes. */
export interface VfioPciDependentDevice {
  /** The number of its group, or its id in an iommufd. */
  devid: number;
  /** Number of its segment. */
  segment: number;
  /** Number of its bus. */
  bus: number;
  /** Number of the device there, and of the function. */
  devfn: number;
}

/** Layout of {@link VfioPciDependentDevice}. */
export const VfioPciDependentDevice: Struct<VfioPciDependentDevice> = struct(
  "vfio_pci_dependent_device",
  {
    devid: role.out(role.u32()),
    segment: role.out(role.u16()),
    bus: role.out(role.u8()),
    devfn: role.out(role.u8()),
  },
);

/** Argument of VFIO_DEVICE_GET_PCI_HOT_RESET_INFO; the devices follow. Linux: `struct vfio_pci_hot_reset_info`, 12 bytes. */
export interface VfioPciHotResetInfo {
  /** Bytes of this struct and of the room behind it. */
  argsz: number;
  /** Reply: `VFIO_PCI_HOT_RESET_FLAG_*`. */
  flags: number;
  /** Reply: devices. */
  count: number;
}

/** Layout of {@link VfioPciHotResetInfo}. */
export const VfioPciHotResetInfo: IoctlStruct<VfioPciHotResetInfo> = ioctl(
  { VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, since: "6.6" },
  "vfio_pci_hot_reset_info",
  {
    argsz: role.size(),
    flags: role.out(role.flags({
      DEV_ID: VFIO_PCI_HOT_RESET_FLAG_DEV_ID,
      DEV_ID_OWNED: VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED,
    })),
    count: role.out(role.count(VfioPciDependentDevice)),
  },
);

/** Argument of VFIO_DEVICE_PCI_HOT_RESET; descriptors of groups follow. Linux: `struct vfio_pci_hot_reset`, 12 bytes. */
export interface VfioPciHotReset {
  /** Bytes of this struct and the descriptors. */
  argsz: number;
  /** None. */
  flags: number;
  /** Descriptors. */
  count: number;
}

/** Layout of {@link VfioPciHotReset}. */
export const VfioPciHotReset: IoctlStruct<VfioPciHotReset> = ioctl(
  { VFIO_DEVICE_PCI_HOT_RESET, since: "6.6" },
  "vfio_pci_hot_reset",
  { argsz: role.size(), flags: role.flags(), count: role.count() },
);

/** Argument of VFIO_DEVICE_IOEVENTFD. Linux: `struct vfio_device_ioeventfd`, 32 bytes. */
export interface VfioDeviceIoeventfd {
  /** Bytes of this struct that the caller provides. */
  argsz: number;
  /** How many bytes are written: 1, 2, 4 or 8. */
  flags: number;
  /** Where, in the device's file. */
  offset: bigint;
  /** What. */
  data: bigint;
  /** The eventfd; -1 to end it. */
  fd: number;
  /** Nothing. */
  reserved: number;
}

/** Layout of {@link VfioDeviceIoeventfd}. */
export const VfioDeviceIoeventfd: IoctlStruct<VfioDeviceIoeventfd> = ioctl(
  { VFIO_DEVICE_IOEVENTFD, since: "6.6" },
  "vfio_device_ioeventfd",
  {
    argsz: role.size(),
    flags: role.flags({ BYTES_1: 1, BYTES_2: 2, BYTES_4: 4, BYTES_8: 8 }),
    offset: role.u64(),
    data: role.u64(),
    fd: role.fd("file", "s32"),
    reserved: role.unused(),
  },
  "fd",
);
