// SPDX-License-Identifier: GPL-2.0-only

/**
 * Ioctls of VFIO on an iommufd, and of a container of VFIO's own. Linux:
 * vfio_compat.c; drivers/vfio/container.c and vfio_iommu_type1.c.
 *
 * @module
 */

import { fails, type Row, type Rows, since, until } from "../pairs.ts";
import { PINS } from "./common.ts";

/** Of every ioctl of VFIO with a struct: longer ones are allowed. */
export const ARGSZ: Row = {
  ok: "it is done",
  EFAULT: "the struct cannot be read, or not be written",
  EINVAL:
    "the struct is shorter than the ioctl needs, or an unknown flag is set",
};

const NO_IOAS = "the iommufd has no IOAS for VFIO";

/** What VFIO's ioctls come to on an iommufd, and all numbers that are none of its ioctls. */
export const VFIO_COMPAT: Rows = {
  others: {
    ENOTTY: "it is no ioctl of iommufd",
    EFAULT:
      "its number is between others that have one, and its length cannot be read",
  },
  VFIO_GET_API_VERSION: { ok: "always" },
  VFIO_CHECK_EXTENSION: {
    ok: "always, but for coherent caches",
    ENODEV: NO_IOAS,
  },
  VFIO_SET_IOMMU: {
    ok: "it is done",
    EINVAL: "a type other than 1 and 3, or something is mapped and attached",
    ENODEV: NO_IOAS,
    EPERM: "a group without IOMMU, without CAP_SYS_RAWIO",
    EADDRINUSE: "what is mapped is not aligned to pages",
  },
  VFIO_IOMMU_GET_INFO: { ...ARGSZ, ENODEV: NO_IOAS },
  VFIO_IOMMU_MAP_DMA: {
    ...ARGSZ,
    ...PINS,
    ENODEV: NO_IOAS,
    EOVERFLOW: "IOVA or address and length wrap",
    EEXIST: "something is mapped there",
    EADDRINUSE: until("6.2", "something is mapped there"),
    ENOENT: fails("the IOAS is not found"),
  },
  VFIO_IOMMU_UNMAP_DMA: {
    ...ARGSZ,
    ENODEV: NO_IOAS,
    EOVERFLOW: "the range wraps",
    ENOENT: "nothing is mapped there, or it would cut an area",
    EBUSY: since("6.17", "an area that is cut is held by a hardware queue"),
    EOPNOTSUPP: since("6.19", "an area of a DMA buffer would be cut"),
    ENOMEM: fails("an area cannot be cut"),
  },
  VFIO_IOMMU_DIRTY_PAGES: { ENOTTY: "always" },
};

/** What they come to on a container of VFIO's own. */
export const VFIO_CONTAINER: Rows = {
  others: {
    EINVAL: "no IOMMU was chosen",
    ENOTTY: "it is no ioctl of the IOMMU that was chosen",
  },
  VFIO_GET_API_VERSION: { ok: "always" },
  VFIO_CHECK_EXTENSION: { ok: "always" },
  VFIO_SET_IOMMU: {
    ok: "it is done",
    EINVAL: "there is no group, or a type was chosen",
    ENODEV: "no driver has the type",
    EPERM: "a group without IOMMU, without CAP_SYS_RAWIO",
    ENOMEM: fails("an allocation fails"),
  },
  VFIO_IOMMU_GET_INFO: { ...ARGSZ, ENOMEM: fails("an allocation fails") },
  VFIO_IOMMU_MAP_DMA: {
    ...ARGSZ,
    ...PINS,
    EOVERFLOW: since("6.18", "IOVA or address and length wrap"),
    ENOENT: "a new address for what is not mapped",
    EEXIST: "something is mapped there",
    ENOSPC: "as much is mapped as dma_entry_limit allows",
    ENOTTY: "the group has no IOMMU",
  },
  VFIO_IOMMU_UNMAP_DMA: {
    ...ARGSZ,
    EOVERFLOW: since("6.18", "the range wraps"),
    ENOTTY: "the group has no IOMMU",
  },
  VFIO_IOMMU_DIRTY_PAGES: {
    ...ARGSZ,
    EACCES: "the IOMMU is of type 1",
    EOVERFLOW: since("6.18", "the range wraps"),
    ENOMEM: fails("a bitmap cannot be allocated"),
    ENOTTY: "the group has no IOMMU",
  },
};
