// SPDX-License-Identifier: GPL-2.0-only

/**
 * Ioctls of HWPTs, devices, fault queues and viommus. Linux: hw_pagetable.c,
 * device.c, fault.c (eventq.c), viommu.c, and the mock driver in selftest.c.
 *
 * @module
 */

import { fails, hardware, type Rows, since } from "../pairs.ts";
import { ALLOCATES, PINS, SIZED } from "./common.ts";

const NO_DESCRIPTOR = "the process may not have one more descriptor";

/** Ioctls of HWPTs and devices. */
export const HWPT: Rows = {
  IOMMU_HWPT_ALLOC: {
    ...SIZED,
    ...PINS,
    EINVAL:
      "the parent is of a wrong type, the data are too short, or the device does not fit it",
    EOPNOTSUPP: "a flag or a type of data that the driver does not know",
    ENOENT: "no device or no fault queue has the id",
    EADDRINUSE: "what is mapped does not fit the new page table",
    ENODEV: hardware("a device without a driver for its IOMMU"),
  },
  IOMMU_GET_HW_INFO: {
    ...SIZED,
    EFAULT: "the struct or the buffer cannot be written",
    EINVAL: "the struct is too short, or there is a length without a buffer",
    EOPNOTSUPP: "a flag, a reserved field, or a type that the driver lacks",
    ENOENT: "no device has the id",
    ENOMEM: fails("the driver cannot allocate its answer"),
  },
  IOMMU_HWPT_SET_DIRTY_TRACKING: {
    ...SIZED,
    EOPNOTSUPP: "an unknown flag, or a page table without dirty tracking",
    ENOENT: "no paging HWPT has the id",
  },
  IOMMU_HWPT_GET_DIRTY_BITMAP: {
    ...SIZED,
    ...ALLOCATES,
    EFAULT: "the struct or the bitmap cannot be written",
    EINVAL:
      "a page size or a range that is not aligned, or not mapped without a gap",
    EOPNOTSUPP: "an unknown flag, or a page table without dirty tracking",
    EOVERFLOW: "the range wraps",
    ENOENT: "no paging HWPT has the id",
  },
  IOMMU_HWPT_INVALIDATE: {
    ...SIZED,
    EFAULT: "the struct or an entry cannot be read",
    EINVAL:
      "a count, a length or a type of entries that is not allowed, or a bad entry",
    E2BIG: "the struct or an entry has bytes that nobody knows",
    EOPNOTSUPP: "a reserved field, or an object that has no cache",
    ENOENT: "no object has the id",
    ENOMEM: since("6.13", fails("the driver cannot copy the entries")),
  },
};

/** Ioctls of fault queues and of what makes a viommu. */
export const VIOMMU: Rows = {
  IOMMU_FAULT_QUEUE_ALLOC: {
    ...SIZED,
    ...ALLOCATES,
    EOPNOTSUPP: "a flag is set",
    EMFILE: NO_DESCRIPTOR,
    ENFILE: hardware("the system has as many files as it may"),
  },
  IOMMU_VIOMMU_ALLOC: {
    ...SIZED,
    ...ALLOCATES,
    EFAULT: "the struct, or the driver's part, cannot be read or written",
    EINVAL: "the parent is not made for nesting",
    EOPNOTSUPP: "a flag, a type that the driver lacks, or no IOMMU",
    ENOENT: "no device or no paging HWPT has the id",
  },
  IOMMU_VDEVICE_ALLOC: {
    ...SIZED,
    ...ALLOCATES,
    EINVAL: "the device is behind another IOMMU than the viommu",
    ENOENT: "no viommu or no device has the id",
    EEXIST: "the device, or the virtual id, has one",
    EOPNOTSUPP: hardware("a driver whose vdevice has no length"),
  },
  IOMMU_VEVENTQ_ALLOC: {
    ...SIZED,
    ...ALLOCATES,
    EINVAL: "a depth of 0, or one that is too great",
    EOPNOTSUPP: "a flag, a reserved field, or no type",
    ENOENT: "no viommu has the id",
    EEXIST: "the viommu has a queue of that type",
    EMFILE: NO_DESCRIPTOR,
    ENFILE: hardware("the system has as many files as it may"),
  },
  IOMMU_HW_QUEUE_ALLOC: {
    ...SIZED,
    ENOMEM: fails("an allocation fails"),
    EINVAL: "no length, or an index that the driver does not have",
    EOPNOTSUPP: "a flag, or a type that the driver does not have",
    EOVERFLOW: "address and length wrap",
    ERANGE: "the length wraps when it is rounded to pages",
    ENOENT: "no viommu has the id, or the address is not mapped",
    EPERM: "the memory is mapped for reading only",
    EEXIST: "the index has a queue",
    EIO: "the queue before it is not there",
    EFAULT: "the struct, or pages that do not follow each other",
    EADDRINUSE: "what is mapped is not aligned to pages",
  },
};
