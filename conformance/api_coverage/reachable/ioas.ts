// SPDX-License-Identifier: GPL-2.0-only

/**
 * Ioctls of an IOAS, and of all objects. Linux: main.c, ioas.c, io_pagetable.c,
 * pages.c.
 *
 * @module
 */

import { hardware, race, type Rows, since, until } from "../pairs.ts";
import { ALLOCATES, PINS, SIZED } from "./common.ts";

const NO_IOAS = "no IOAS has the id";
const RESERVED = "a reserved field or an unknown flag is set";

/** What puts pages at an IOVA can come to. */
const MAPS = {
  ...SIZED,
  ...PINS,
  EOPNOTSUPP: RESERVED,
  EOVERFLOW: "the IOVA or the length is 2^64 - 1, or their sum wraps",
  EINVAL:
    "neither readable nor writable, no length, not aligned, or a reserved IOVA",
  ENOENT: NO_IOAS,
  EEXIST: "something is mapped at the fixed IOVA",
  EADDRINUSE: until("6.2", "something is mapped at the fixed IOVA"),
  ENOSPC: "no allowed IOVA is free that is long enough",
};

/** IOMMU_DESTROY, the ioctls of an IOAS, and options. */
export const IOAS: Rows = {
  IOMMU_DESTROY: {
    ...SIZED,
    ENOENT: "no object has the id",
    EBUSY: "another object or an attachment uses it",
    EOPNOTSUPP: until("6.2", "there was a field that must be 0"),
  },
  IOMMU_IOAS_ALLOC: { ...SIZED, ...ALLOCATES, EOPNOTSUPP: "a flag is set" },
  IOMMU_IOAS_IOVA_RANGES: {
    ...SIZED,
    EOPNOTSUPP: RESERVED,
    ENOENT: NO_IOAS,
    EMSGSIZE: "there are more ranges than fit into the array",
  },
  IOMMU_IOAS_ALLOW_IOVAS: {
    ...SIZED,
    ...ALLOCATES,
    EINVAL: "a range ends where it begins or before, or meets another one",
    EOPNOTSUPP: RESERVED,
    ENOENT: NO_IOAS,
    EADDRINUSE: "a range is reserved, for a device or by the test ioctl",
  },
  IOMMU_IOAS_MAP: MAPS,
  IOMMU_IOAS_MAP_FILE: {
    ...MAPS,
    EINVAL:
      "as of IOAS_MAP, or the file is none of memory, or the range is beyond its end",
    EBADF: "the descriptor is closed",
    ENODEV: "the DMA buffer was revoked",
    EOPNOTSUPP: RESERVED,
    ENXIO: hardware("a kernel without DMA buffers"),
  },
  IOMMU_IOAS_CHANGE_PROCESS: {
    ...SIZED,
    EOPNOTSUPP: RESERVED,
    EINVAL: "something is mapped that is not of a file",
    ENOMEM: "the pages are more than the new process may lock",
    EBUSY: race("an unmap is under way"),
  },
  IOMMU_IOAS_COPY: {
    ...MAPS,
    ENOENT: "no IOAS has an id, or the source is not mapped without a gap",
    EPERM: "writable, from memory that is mapped for reading only",
    EFAULT: "the struct cannot be read, or a page cannot be pinned",
  },
  IOMMU_IOAS_UNMAP: {
    ...SIZED,
    EINVAL: "no length",
    EOVERFLOW: "the IOVA or the length is 2^64 - 1, or their sum wraps",
    ENOENT: "no IOAS has the id, nothing is there, or it would cut an area",
    EBUSY: since("6.17", "the area holds a hardware queue"),
    EOPNOTSUPP: until("6.2", "there was a field that must be 0"),
    EDEADLOCK: hardware("an access that keeps its pages when it is asked"),
  },
  IOMMU_OPTION: {
    ...SIZED,
    EINVAL: "a value other than 0 and 1, or something is mapped and attached",
    EOPNOTSUPP: "no such option, operation or object",
    ENOENT: NO_IOAS,
    EPERM: "the account is changed without CAP_SYS_RESOURCE",
    EBUSY: "the account is changed when there are objects",
    EADDRINUSE: "what is mapped is not aligned to pages",
  },
  IOMMU_VFIO_IOAS: {
    ...SIZED,
    EOPNOTSUPP: "no such operation",
    ENOENT: NO_IOAS,
    ENODEV: "there is none for VFIO",
  },
  IOMMU_IOAS_NOIOMMU_GET_PA: {
    ...SIZED,
    EPERM: "without CAP_SYS_RAWIO",
    EOPNOTSUPP: "a flag is set, or a device with an IOMMU is attached",
    EINVAL: "no length",
    EOVERFLOW: "the IOVA is 2^64 - 1",
    ENOENT: "no IOAS has the id, or nothing is mapped at the IOVA",
  },
};
