// SPDX-License-Identifier: GPL-2.0-only

/**
 * VFIO devices and groups: the part of `include/uapi/linux/vfio.h` that is not
 * the container's. Only `argsz` tells how long a struct is: no size is in the
 * number of an ioctl.
 *
 * @module
 */

import {
  ioctl,
  type IoctlStruct,
  numbered,
  type PlainIoctl,
} from "../ioctl.ts";
import * as role from "../layout/roles.ts";

/** ioctl of a group: asks for its state. */
export const VFIO_GROUP_GET_STATUS: number = 0x3b67;
/** ioctl of a group: puts it into a container. */
export const VFIO_GROUP_SET_CONTAINER: number = 0x3b68;
/** ioctl of a group: takes it out of its container. */
export const VFIO_GROUP_UNSET_CONTAINER: number = 0x3b69;
/** ioctl of a group: opens a device; the argument is its name. */
export const VFIO_GROUP_GET_DEVICE_FD: number = 0x3b6a;
/** ioctl: asks what a device has. */
export const VFIO_DEVICE_GET_INFO: number = 0x3b6b;
/** ioctl: asks where a region is. */
export const VFIO_DEVICE_GET_REGION_INFO: number = 0x3b6c;
/** ioctl: asks for interrupts of a kind. */
export const VFIO_DEVICE_GET_IRQ_INFO: number = 0x3b6d;
/** ioctl: sets interrupts up, masks them, triggers them. */
export const VFIO_DEVICE_SET_IRQS: number = 0x3b6e;
/** ioctl: resets a device. */
export const VFIO_DEVICE_RESET: number = 0x3b6f;
/** ioctl: binds a device to an iommufd. */
export const VFIO_DEVICE_BIND_IOMMUFD: number = 0x3b76;
/** ioctl: attaches a device to an IOAS or a HWPT. */
export const VFIO_DEVICE_ATTACH_IOMMUFD_PT: number = 0x3b77;
/** ioctl: detaches a device. */
export const VFIO_DEVICE_DETACH_IOMMUFD_PT: number = 0x3b78;

/** A token of a virtual function comes with the bind. */
export const VFIO_DEVICE_BIND_FLAG_TOKEN: number = 1 << 0;
/** A PASID is attached or detached. */
export const VFIO_DEVICE_ATTACH_PASID: number = 1 << 0;

/** The device can be reset. */
export const VFIO_DEVICE_FLAGS_RESET: number = 1 << 0;
/** It is a PCI device. */
export const VFIO_DEVICE_FLAGS_PCI: number = 1 << 1;
/** Capabilities follow. */
export const VFIO_DEVICE_FLAGS_CAPS: number = 1 << 7;

/** A region can be read. */
export const VFIO_REGION_INFO_FLAG_READ: number = 1 << 0;
/** A region can be written. */
export const VFIO_REGION_INFO_FLAG_WRITE: number = 1 << 1;
/** A region can be mapped. */
export const VFIO_REGION_INFO_FLAG_MMAP: number = 1 << 2;
/** Capabilities follow. */
export const VFIO_REGION_INFO_FLAG_CAPS: number = 1 << 3;
/** Capability of a region: the table of MSI-X in it can be mapped. */
export const VFIO_REGION_INFO_CAP_MSIX_MAPPABLE: number = 3;

/** Where in a device's file a region begins is its index shifted by so much. */
export const VFIO_PCI_OFFSET_SHIFT: number = 40;
/** Region of the expansion ROM; those before are the BARs. */
export const VFIO_PCI_ROM_REGION_INDEX: number = 6;
/** Region of the configuration space. */
export const VFIO_PCI_CONFIG_REGION_INDEX: number = 7;
/** Region of VGA's memory and ports. */
export const VFIO_PCI_VGA_REGION_INDEX: number = 8;
/** Regions of a PCI device. */
export const VFIO_PCI_NUM_REGIONS: number = 9;

/** Interrupts go to eventfds. */
export const VFIO_IRQ_INFO_EVENTFD: number = 1 << 0;
/** They can be masked. */
export const VFIO_IRQ_INFO_MASKABLE: number = 1 << 1;
/** They are masked when they fire. */
export const VFIO_IRQ_INFO_AUTOMASKED: number = 1 << 2;
/** Their number cannot change while they are on. */
export const VFIO_IRQ_INFO_NORESIZE: number = 1 << 3;

/** The legacy interrupt. */
export const VFIO_PCI_INTX_IRQ_INDEX: number = 0;
/** Message signalled interrupts. */
export const VFIO_PCI_MSI_IRQ_INDEX: number = 1;
/** Those of MSI-X. */
export const VFIO_PCI_MSIX_IRQ_INDEX: number = 2;
/** An error of the device. */
export const VFIO_PCI_ERR_IRQ_INDEX: number = 3;
/** The kernel wants the device back. */
export const VFIO_PCI_REQ_IRQ_INDEX: number = 4;
/** Kinds of interrupts of a PCI device. */
export const VFIO_PCI_NUM_IRQS: number = 5;

/** SET_IRQS: no data. */
export const VFIO_IRQ_SET_DATA_NONE: number = 1 << 0;
/** SET_IRQS: a byte for each, 0 or not. */
export const VFIO_IRQ_SET_DATA_BOOL: number = 1 << 1;
/** SET_IRQS: a descriptor for each. */
export const VFIO_IRQ_SET_DATA_EVENTFD: number = 1 << 2;
/** SET_IRQS: masks. */
export const VFIO_IRQ_SET_ACTION_MASK: number = 1 << 3;
/** SET_IRQS: unmasks. */
export const VFIO_IRQ_SET_ACTION_UNMASK: number = 1 << 4;
/** SET_IRQS: connects, or fires. */
export const VFIO_IRQ_SET_ACTION_TRIGGER: number = 1 << 5;

/** A group can be used: all of its devices are VFIO's or nobody's. */
export const VFIO_GROUP_FLAGS_VIABLE: number = 1 << 0;
/** A group is in a container. */
export const VFIO_GROUP_FLAGS_CONTAINER_SET: number = 1 << 1;

/** Argument of VFIO_GROUP_GET_STATUS. Linux: `struct vfio_group_status`, 8 bytes. */
export interface VfioGroupStatus {
  /** Bytes of this struct that the caller provides. */
  argsz: number;
  /** `VFIO_GROUP_FLAGS_*`. */
  flags: number;
}

/** Layout of {@link VfioGroupStatus}. */
export const VfioGroupStatus: IoctlStruct<VfioGroupStatus> = ioctl(
  { VFIO_GROUP_GET_STATUS, since: "6.6" },
  "vfio_group_status",
  {
    argsz: role.size(),
    flags: role.out(role.flags({
      VIABLE: VFIO_GROUP_FLAGS_VIABLE,
      CONTAINER_SET: VFIO_GROUP_FLAGS_CONTAINER_SET,
    })),
  },
);

/** VFIO_GROUP_SET_CONTAINER; its argument is the address of a descriptor. */
export const VfioGroupSetContainer: PlainIoctl = {
  ioctl: numbered({ VFIO_GROUP_SET_CONTAINER, since: "6.6" }),
  arg: role.unused("u64"),
};

/** VFIO_GROUP_UNSET_CONTAINER; nobody looks at its argument. */
export const VfioGroupUnsetContainer: PlainIoctl = {
  ioctl: numbered({ VFIO_GROUP_UNSET_CONTAINER, since: "6.6" }),
  arg: role.unused("u64"),
};

/** VFIO_GROUP_GET_DEVICE_FD; its argument is the address of a name. */
export const VfioGroupGetDeviceFd: PlainIoctl = {
  ioctl: numbered({ VFIO_GROUP_GET_DEVICE_FD, since: "6.6" }),
  arg: role.unused("u64"),
};

/** Argument of VFIO_DEVICE_BIND_IOMMUFD. Linux: `struct vfio_device_bind_iommufd`, 24 bytes, 16 before 6.17. */
export interface VfioDeviceBindIommufd {
  /** Bytes of this struct that the caller provides. */
  argsz: number;
  /** `VFIO_DEVICE_BIND_FLAG_TOKEN` or 0. */
  flags: number;
  /** Descriptor of an iommufd. */
  iommufd: number;
  /** Reply: the device's id there. */
  outDevid: number;
  /** Address of a token of 16 bytes. */
  tokenUuidPtr: bigint;
}

/** Layout of {@link VfioDeviceBindIommufd}. */
export const VfioDeviceBindIommufd: IoctlStruct<VfioDeviceBindIommufd> = ioctl(
  { VFIO_DEVICE_BIND_IOMMUFD, since: "6.6" },
  "vfio_device_bind_iommufd",
  {
    argsz: role.size(),
    flags: role.flags({ TOKEN: VFIO_DEVICE_BIND_FLAG_TOKEN }),
    iommufd: role.fd("iommufd", "s32"),
    outDevid: role.out(role.id("DEVICE")),
    ...role.since("6.17", { tokenUuidPtr: role.u64() }),
  },
);

/** Argument of VFIO_DEVICE_ATTACH_IOMMUFD_PT. Linux: `struct vfio_device_attach_iommufd_pt`, 16 bytes, 12 before 6.15. */
export interface VfioDeviceAttachIommufdPt {
  /** Bytes of this struct that the caller provides. */
  argsz: number;
  /** `VFIO_DEVICE_ATTACH_PASID` or 0. */
  flags: number;
  /** An IOAS or a HWPT; reply: the HWPT. */
  ptId: number;
  /** The PASID, with that flag. */
  pasid: number;
}

/** Layout of {@link VfioDeviceAttachIommufdPt}. */
export const VfioDeviceAttachIommufdPt: IoctlStruct<VfioDeviceAttachIommufdPt> =
  ioctl(
    { VFIO_DEVICE_ATTACH_IOMMUFD_PT, since: "6.6" },
    "vfio_device_attach_iommufd_pt",
    {
      argsz: role.size(),
      flags: role.flags({ PASID: VFIO_DEVICE_ATTACH_PASID }),
      ptId: role.inout(role.id("IOAS", "HWPT_PAGING", "HWPT_NESTED")),
      ...role.since("6.15", { pasid: role.u32() }),
    },
  );

/** Argument of VFIO_DEVICE_DETACH_IOMMUFD_PT. Linux: `struct vfio_device_detach_iommufd_pt`, 12 bytes, 8 before 6.15. */
export interface VfioDeviceDetachIommufdPt {
  /** Bytes of this struct that the caller provides. */
  argsz: number;
  /** `VFIO_DEVICE_ATTACH_PASID` or 0. */
  flags: number;
  /** The PASID, with that flag. */
  pasid: number;
}

/** Layout of {@link VfioDeviceDetachIommufdPt}. */
export const VfioDeviceDetachIommufdPt: IoctlStruct<VfioDeviceDetachIommufdPt> =
  ioctl(
    { VFIO_DEVICE_DETACH_IOMMUFD_PT, since: "6.6" },
    "vfio_device_detach_iommufd_pt",
    {
      argsz: role.size(),
      flags: role.flags({ PASID: VFIO_DEVICE_ATTACH_PASID }),
      ...role.since("6.15", { pasid: role.u32() }),
    },
  );

/** Argument of VFIO_DEVICE_GET_INFO. Linux: `struct vfio_device_info`, 24 bytes. */
export interface VfioDeviceInfo {
  /** Bytes of this struct that the caller provides. */
  argsz: number;
  /** Reply: `VFIO_DEVICE_FLAGS_*`. */
  flags: number;
  /** Reply: regions. */
  numRegions: number;
  /** Reply: kinds of interrupts. */
  numIrqs: number;
  /** Reply: offset of the first capability, 0 without. */
  capOffset: number;
  /** Nothing. */
  pad: number;
}

/** Layout of {@link VfioDeviceInfo}. */
export const VfioDeviceInfo: IoctlStruct<VfioDeviceInfo> = ioctl(
  { VFIO_DEVICE_GET_INFO, since: "6.6" },
  "vfio_device_info",
  {
    argsz: role.inout(role.size()),
    flags: role.out(role.flags({
      RESET: VFIO_DEVICE_FLAGS_RESET,
      PCI: VFIO_DEVICE_FLAGS_PCI,
      CAPS: VFIO_DEVICE_FLAGS_CAPS,
    })),
    numRegions: role.out(role.count()),
    numIrqs: role.out(role.count()),
    capOffset: role.out(role.chain()),
    pad: role.unused(),
  },
  "numIrqs",
);

/** Argument of VFIO_DEVICE_GET_REGION_INFO. Linux: `struct vfio_region_info`, 32 bytes. */
export interface VfioRegionInfo {
  /** Bytes of this struct that the caller provides; reply: those that are needed. */
  argsz: number;
  /** Reply: `VFIO_REGION_INFO_FLAG_*`. */
  flags: number;
  /** Which region. */
  index: number;
  /** Reply: offset of the first capability, 0 without. */
  capOffset: number;
  /** Reply: bytes (C: `size`). */
  length: bigint;
  /** Reply: where it begins in the device's file. */
  offset: bigint;
}

/** Layout of {@link VfioRegionInfo}. */
export const VfioRegionInfo: IoctlStruct<VfioRegionInfo> = ioctl(
  { VFIO_DEVICE_GET_REGION_INFO, since: "6.6" },
  "vfio_region_info",
  {
    argsz: role.inout(role.size()),
    flags: role.out(role.flags({
      READ: VFIO_REGION_INFO_FLAG_READ,
      WRITE: VFIO_REGION_INFO_FLAG_WRITE,
      MMAP: VFIO_REGION_INFO_FLAG_MMAP,
      CAPS: VFIO_REGION_INFO_FLAG_CAPS,
    })),
    index: role.u32(),
    capOffset: role.out(role.chain()),
    length: role.out(role.length()),
    offset: role.out(role.u64()),
  },
);

/** Argument of VFIO_DEVICE_GET_IRQ_INFO. Linux: `struct vfio_irq_info`, 16 bytes. */
export interface VfioIrqInfo {
  /** Bytes of this struct that the caller provides. */
  argsz: number;
  /** Reply: `VFIO_IRQ_INFO_*`. */
  flags: number;
  /** Which kind. */
  index: number;
  /** Reply: how many there are. */
  count: number;
}

/** Layout of {@link VfioIrqInfo}. */
export const VfioIrqInfo: IoctlStruct<VfioIrqInfo> = ioctl(
  { VFIO_DEVICE_GET_IRQ_INFO, since: "6.6" },
  "vfio_irq_info",
  {
    argsz: role.size(),
    flags: role.out(role.flags({
      EVENTFD: VFIO_IRQ_INFO_EVENTFD,
      MASKABLE: VFIO_IRQ_INFO_MASKABLE,
      AUTOMASKED: VFIO_IRQ_INFO_AUTOMASKED,
      NORESIZE: VFIO_IRQ_INFO_NORESIZE,
    })),
    index: role.choice({ INTX: 0, MSI: 1, MSIX: 2, ERR: 3, REQ: 4 }),
    count: role.out(role.count()),
  },
);

/** Argument of VFIO_DEVICE_SET_IRQS; the data follow. Linux: `struct vfio_irq_set`, 20 bytes. */
export interface VfioIrqSet {
  /** Bytes of this struct and its data. */
  argsz: number;
  /** `VFIO_IRQ_SET_*`: one of data, one of action. */
  flags: number;
  /** Which kind. */
  index: number;
  /** The first interrupt. */
  start: number;
  /** How many. */
  count: number;
}

/** Layout of {@link VfioIrqSet}. */
export const VfioIrqSet: IoctlStruct<VfioIrqSet> = ioctl(
  { VFIO_DEVICE_SET_IRQS, since: "6.6" },
  "vfio_irq_set",
  {
    argsz: role.size(),
    flags: role.flags({
      DATA_NONE: VFIO_IRQ_SET_DATA_NONE,
      DATA_BOOL: VFIO_IRQ_SET_DATA_BOOL,
      DATA_EVENTFD: VFIO_IRQ_SET_DATA_EVENTFD,
      ACTION_MASK: VFIO_IRQ_SET_ACTION_MASK,
      ACTION_UNMASK: VFIO_IRQ_SET_ACTION_UNMASK,
      ACTION_TRIGGER: VFIO_IRQ_SET_ACTION_TRIGGER,
    }),
    index: role.choice({ INTX: 0, MSI: 1, MSIX: 2, ERR: 3, REQ: 4 }),
    start: role.u32(),
    count: role.count(),
  },
);

/** VFIO_DEVICE_RESET; nobody looks at its argument. */
export const VfioDeviceReset: PlainIoctl = {
  ioctl: numbered({ VFIO_DEVICE_RESET, since: "6.6" }),
  arg: role.unused("u64"),
};
