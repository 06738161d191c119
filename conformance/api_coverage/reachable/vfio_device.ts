// SPDX-License-Identifier: GPL-2.0-only

/**
 * Ioctls of VFIO groups and devices. Linux: drivers/vfio/group.c,
 * device_cdev.c, vfio_main.c, and those of PCI in drivers/vfio/pci.
 *
 * @module
 */

import { fails, hardware, race, type Rows, since } from "../pairs.ts";
import { ARGSZ } from "./vfio.ts";

/** What the ioctls of a group come to. */
export const VFIO_GROUP: Rows = {
  others: { ENOTTY: "it is no ioctl of a group" },
  VFIO_GROUP_GET_STATUS: {
    ...ARGSZ,
    ENODEV: hardware("the devices of the group went away"),
  },
  VFIO_GROUP_SET_CONTAINER: {
    ok: "it is done",
    EFAULT: "the descriptor's number cannot be read",
    EBADF: "the descriptor is closed",
    EBADFD: "the file is neither a container nor an iommufd",
    EINVAL: "the group has one, or the iommufd has a group of the other kind",
    EPERM: "the container has a group of the other kind, with or without IOMMU",
    ENODEV: hardware("the devices of the group went away"),
    ENOMEM: fails("an allocation fails"),
  },
  VFIO_GROUP_UNSET_CONTAINER: {
    ok: "it is done",
    EINVAL: "the group has none",
    EBUSY: "a device of the group is open",
  },
  VFIO_GROUP_GET_DEVICE_FD: {
    ok: "it is done",
    EFAULT: "the name cannot be read",
    EINVAL:
      "the group has no container, or one without a type, or a token is no token",
    ENODEV: "no device of the group has the name",
    EACCES: "the device wants a token, or another one",
    EPERM:
      "a device without IOMMU, without CAP_SYS_RAWIO or beside an IOAS for VFIO",
    EMFILE: "the process may not have one more descriptor",
    ENOMEM: fails("an allocation fails"),
  },
};

/** What the ioctls of a device come to. */
export const VFIO_DEVICE: Rows = {
  others: {
    EINVAL: "the device is bound to nothing",
    ENOTTY: "it is no ioctl of a device",
  },
  VFIO_DEVICE_BIND_IOMMUFD: {
    ...ARGSZ,
    EINVAL: "too short, an unknown flag, bound before, or opened by its group",
    E2BIG: since("6.18", "the struct has bytes that nobody knows"),
    EBADF: "the descriptor is closed",
    EBADFD: "the file is no iommufd",
    EBUSY: "the group is open",
    EPERM: "a device without IOMMU, or the group is another iommufd's",
    EACCES: since("6.18", "the device wants a token, or another one"),
    ENOMEM: fails("an allocation fails"),
  },
  VFIO_DEVICE_ATTACH_IOMMUFD_PT: {
    ...ARGSZ,
    ENOTTY: "opened by its group",
    ENOENT: "no object has the id",
    EINVAL: "the struct, a flag, or an object that the device cannot have",
    EBUSY: since("6.15", "the PASID is attached"),
    ENODEV: since("6.15", "the device has no PASIDs"),
    EOPNOTSUPP: hardware("a driver that attaches no PASIDs"),
    EADDRINUSE: "what is mapped is where the device cannot reach",
    ENOMEM: "the pages are more than RLIMIT_MEMLOCK allows",
  },
  VFIO_DEVICE_DETACH_IOMMUFD_PT: {
    ...ARGSZ,
    ENOTTY: "opened by its group",
    EOPNOTSUPP: hardware("a driver that attaches no PASIDs"),
  },
  VFIO_DEVICE_GET_INFO: { ...ARGSZ, ENOMEM: fails("an allocation fails") },
  VFIO_DEVICE_GET_REGION_INFO: {
    ...ARGSZ,
    EINVAL: "too short, or no region of that number",
    ENOMEM: fails("an allocation fails"),
  },
  VFIO_DEVICE_GET_IRQ_INFO: {
    ...ARGSZ,
    EINVAL: "too short, or no interrupts of that number",
  },
  VFIO_DEVICE_SET_IRQS: {
    ...ARGSZ,
    EINVAL: "too short, bad flags, or what these interrupts do not do now",
    ENOTTY: "nobody does that to these interrupts",
    EBADF: "a descriptor is closed",
    ERANGE: hardware("fewer vectors are free than are wanted"),
    ENOSPC: hardware("fewer vectors are free than are wanted"),
    EBUSY: "the line is another's, or the eventfd unmasks another line",
    ENODEV: hardware("the device has no line"),
    ENOMEM: fails("an allocation fails"),
  },
  VFIO_DEVICE_RESET: {
    ok: "it is done",
    EINVAL: hardware("a device that cannot be reset"),
  },
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: {
    ...ARGSZ,
    ENODEV: "the bus cannot be reset",
    ENOSPC: "there are more devices than fit into the array",
    EPERM: hardware("a device without a group"),
    EAGAIN: race("a device came to the bus"),
    ENOMEM: fails("an allocation fails"),
  },
  VFIO_DEVICE_PCI_HOT_RESET: {
    ...ARGSZ,
    EINVAL: "too short, a flag, or not all devices of the bus are the caller's",
    ENODEV: "the bus cannot be reset",
    EBADF: "a descriptor of a group is closed",
    EBUSY: race("a device is being used"),
    ENOMEM: fails("an allocation fails"),
  },
  VFIO_DEVICE_IOEVENTFD: {
    ...ARGSZ,
    EINVAL: "too short, no one width, or no place in a BAR",
    ENODEV: "there is none to take away",
    EBADF: "the descriptor is closed",
    EEXIST: "there is one of that address and value",
    ENOSPC: "there are 1000",
    ENOMEM: fails("an allocation fails"),
  },
  VFIO_DEVICE_FEATURE: {
    ...ARGSZ,
    EINVAL: "too short, bad flags, or what the feature does not do",
    ENOTTY: "the device has no such feature",
    EBADF: "a descriptor is closed",
    EOVERFLOW: "a range wraps",
    ENODEV: since("6.19", "a BAR that the device does not have"),
    E2BIG: "more state than the device takes",
    ENOMEM: fails("an allocation fails"),
  },
};
