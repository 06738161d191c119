// SPDX-License-Identifier: GPL-2.0-only

/**
 * Operations of the test ioctl. Linux: selftest.c, and device.c behind it. What
 * is wrong with the struct is counted for the ioctl, before its operation is
 * known.
 *
 * @module
 */

import { fails, type Row, type Rows } from "../pairs.ts";
import { PINS, SIZED } from "./common.ts";

/** Of every operation: the struct can still be lost on its way. */
const OPERATION: Row = {
  ok: "it is done",
  EFAULT: fails("the struct cannot be copied"),
};

const NO_HWPT = "no paging HWPT has the id";
const NO_ACCESS = "the descriptor is of no access";

/** A device is attached. */
const ATTACHES: Row = {
  ...OPERATION,
  ...PINS,
  EINVAL: "a wrong type of object, or a device that does not fit it",
  ENOENT: "no object has an id",
  EADDRINUSE: "what is mapped is where the device cannot reach",
};

/** An access reaches for memory. */
const ACCESSES: Row = {
  ...OPERATION,
  ...PINS,
  EBADFD: NO_ACCESS,
  EOPNOTSUPP: "an unknown flag, or an access that pins nothing",
  ENOMEM: "more than 16 MiB, or pages beyond RLIMIT_MEMLOCK",
  EINVAL: "no length, or what is mapped is not of whole pages",
  EOVERFLOW: "IOVA and length wrap",
  ENOENT: "it has no IOAS, or nothing is mapped there",
  EPERM: "writing, where only reading is mapped",
};

/** The test ioctl by itself, and its operations. */
export const TEST_OPS: Rows = {
  IOMMU_TEST_CMD: { ...SIZED, EOPNOTSUPP: "no such operation" },
  "IOMMU_TEST_CMD ADD_RESERVED": {
    ...OPERATION,
    EINVAL: "no length",
    EOVERFLOW: "the range wraps",
    ENOENT: "no IOAS has the id",
    EADDRINUSE: "something is mapped or allowed there",
    ENOMEM: fails("an allocation fails"),
  },
  "IOMMU_TEST_CMD MOCK_DOMAIN": ATTACHES,
  "IOMMU_TEST_CMD MOCK_DOMAIN_FLAGS": {
    ...ATTACHES,
    EINVAL: "an unknown flag, or a page table that the device cannot have",
  },
  "IOMMU_TEST_CMD MOCK_DOMAIN_REPLACE": ATTACHES,
  "IOMMU_TEST_CMD MD_CHECK_MAP": {
    ...OPERATION,
    EINVAL: "not aligned, of no mock, or the page table says otherwise",
    ENOENT: NO_HWPT,
    EFAULT: "the memory is not there",
  },
  "IOMMU_TEST_CMD MD_CHECK_REFS": {
    ...OPERATION,
    EINVAL: "not aligned, or the range wraps",
    EFAULT: "the memory is not there",
    EIO: "a page is pinned more or less often",
  },
  "IOMMU_TEST_CMD CREATE_ACCESS": {
    ...OPERATION,
    EOPNOTSUPP: "an unknown flag",
    ENOENT: "no IOAS has the id",
    EADDRINUSE: "what is mapped is not aligned to pages",
    ENOMEM: "the process may not have one more descriptor",
  },
  "IOMMU_TEST_CMD DESTROY_ACCESS_PAGES": {
    ...OPERATION,
    EBADFD: NO_ACCESS,
    ENOENT: "it holds no pages of that number",
  },
  "IOMMU_TEST_CMD ACCESS_PAGES": {
    ...ACCESSES,
    EBADE: "the pages are not those at the address",
  },
  "IOMMU_TEST_CMD ACCESS_RW": {
    ...ACCESSES,
    EOPNOTSUPP: "an unknown flag",
  },
  "IOMMU_TEST_CMD SET_TEMP_MEMORY_LIMIT": {
    ...OPERATION,
    EINVAL: "fewer bytes than two pointers need",
  },
  "IOMMU_TEST_CMD ACCESS_REPLACE_IOAS": {
    ...OPERATION,
    EBADFD: NO_ACCESS,
    ENOENT: "no IOAS has the id, or the access has none yet",
    EADDRINUSE: "what is mapped is not aligned to pages",
    ENOMEM: fails("an allocation fails"),
  },
  "IOMMU_TEST_CMD DIRTY": {
    ...OPERATION,
    EINVAL: "no bitmap, not aligned, or dirty tracking is off",
    EOVERFLOW: "more than 2^27 pages",
    ENOENT: NO_HWPT,
    EFAULT: "the bitmap cannot be read",
    ENOMEM: fails("an allocation fails"),
  },
  "IOMMU_TEST_CMD MD_CHECK_IOTLB": {
    ...OPERATION,
    EINVAL: "the entry is another one, or there is none of that number",
    ENOENT: "no nested HWPT has the id",
  },
  "IOMMU_TEST_CMD TRIGGER_IOPF": {
    ...OPERATION,
    ENOENT: "no device has the id",
    EINVAL: "the device is VFIO's",
  },
  "IOMMU_TEST_CMD DEV_CHECK_CACHE": {
    ...OPERATION,
    EINVAL: "the entry is another one, or there is none of that number",
    ENOENT: "no device has the id",
  },
  "IOMMU_TEST_CMD TRIGGER_VEVENT": {
    ...OPERATION,
    ENOENT: "no device has the id, or it has no vdevice",
    EOPNOTSUPP: "the viommu has no event queue",
    ENOMEM: fails("there is no room for the event"),
  },
  "IOMMU_TEST_CMD PASID_ATTACH": {
    ...ATTACHES,
    EBUSY: "the PASID is attached",
  },
  "IOMMU_TEST_CMD PASID_REPLACE": ATTACHES,
  "IOMMU_TEST_CMD PASID_DETACH": {
    ...OPERATION,
    ENOENT: "no mock device has the id",
  },
  "IOMMU_TEST_CMD PASID_CHECK_HWPT": {
    ...OPERATION,
    EINVAL: "another page table is attached, or the object is none",
    ENOENT: "no object has an id",
  },
  "IOMMU_TEST_CMD DMABUF_GET": {
    ...OPERATION,
    EINVAL: "no length, more than 2 MiB, or an unknown flag",
    EMFILE: "the process may not have one more descriptor",
    ENOMEM: fails("an allocation fails"),
  },
  "IOMMU_TEST_CMD DMABUF_REVOKE": {
    ...OPERATION,
    EBADF: "the descriptor is closed",
    EINVAL: "the file is no DMA buffer",
    EOPNOTSUPP: "the DMA buffer is a VFIO device's",
  },
};
