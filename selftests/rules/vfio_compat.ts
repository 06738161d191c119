// SPDX-License-Identifier: GPL-2.0-only

/**
 * The VFIO container that an iommufd is: /dev/iommu, or /dev/vfio/vfio, under
 * the ioctls of VFIO's type1 (vfio_compat.c).
 *
 * @module
 */

import type { Rule } from "./rule.ts";

/** The rules by code. */
export const VFIO_COMPAT_RULES = {
  "C3.13": {
    level: "uapi",
    since: "v3",
    says:
      "The structs of VFIO say their own length: one below the first version's is EINVAL, as are unknown flags, and what lies behind the known part is neither read nor written.",
    where: "vfio_compat.c",
  },
  "P14.3": {
    level: "uapi",
    since: "v3",
    says:
      "CHECK_EXTENSION knows type1, its second version and UNMAP_ALL, and since 6.3 the type without an IOMMU, if the kernel is built with that. DMA_CC says whether every HWPT of the IOAS enforces coherency, also if there is none. All else is 0.",
    where: "vfio_compat.c iommufd_vfio_check_extension, iommufd_vfio_cc_iommu",
  },
  "P14.4": {
    level: "uapi",
    since: "v3",
    says:
      "SET_IOMMU takes type1 in either version: EINVAL else, before the IOAS is looked for (ENODEV).",
    where: "vfio_compat.c iommufd_vfio_set_iommu",
  },
  "P14.5": {
    level: "kernel",
    since: "v3",
    says:
      "The first version of type1 turns large pages off, which is too late once there are maps of a domain: EINVAL. The second does not turn them on again.",
    where: "vfio_compat.c iommufd_vfio_set_iommu",
  },
  "P14.6": {
    level: "uapi",
    since: "v3",
    says:
      "The container's IOAS is an object of the user's: it can be destroyed, and the container has none then.",
    where: "main.c iommufd_object_remove",
  },
  "P14.7": {
    level: "uapi",
    since: "v3",
    says:
      "VFIO_IOAS gets, sets and clears the container's IOAS; its reserved field and other operations are EOPNOTSUPP. A refusal keeps what there is.",
    where: "vfio_compat.c iommufd_vfio_ioas",
  },
  "P14.8": {
    level: "uapi",
    since: "v3",
    says:
      "MAP_DMA checks that it can read its struct (EFAULT), argsz and flags (EINVAL), the IOAS (ENODEV), then maps as MAP at a fixed IOVA does, with the rights that its flags name.",
    where: "vfio_compat.c iommufd_vfio_map_dma",
  },
  "P14.9": {
    level: "uapi",
    since: "v3",
    says:
      "UNMAP_DMA checks its struct, argsz and flags, then the IOAS; with the flag ALL its range must be empty: EINVAL.",
    where: "vfio_compat.c iommufd_vfio_unmap_dma",
  },
  "P14.10": {
    level: "kernel",
    since: "v3",
    says:
      "UNMAP_DMA that fails after it looked for areas tells all the same how many bytes it unmapped; one whose cut is refused tells nothing.",
    where: "vfio_compat.c iommufd_vfio_unmap_dma",
  },
  "P14.11": {
    level: "uapi",
    since: "v3",
    says:
      "GET_INFO writes what there is room for, tells how long it would be with all capabilities, and where they are if they all fit. Those that fit are written anyway.",
    where: "vfio_compat.c iommufd_vfio_iommu_get_info",
  },
  "P14.12": {
    level: "uapi",
    since: "v3",
    says:
      "GET_INFO tells the page sizes that all domains have, from a page on; without a domain every one from a page on.",
    where: "vfio_compat.c iommufd_get_pagesizes",
  },
  "P14.13": {
    level: "uapi",
    since: "v3",
    says: "A capability lists the ranges of IOVA that are not reserved.",
    where: "vfio_compat.c iommufd_fill_cap_iova",
  },
  "P14.14": {
    level: "kernel",
    since: "v3",
    says:
      "The end of a range is cut before its beginning, and a cut that is refused is the last thing that happens.",
    where: "vfio_compat.c iommufd_vfio_unmap_dma; io_pagetable.c iopt_cut_iova",
  },
  "P14.15": {
    level: "kernel",
    since: "6.19",
    says:
      "Where the page table knows rights, memory is mapped with one at least.",
    where: "generic_pt/iommu_pt.h map_range",
  },
  "P14.16": {
    level: "uapi",
    since: "v3",
    says:
      "A struct of VFIO may lie at any address, across pages too, and in memory that cannot be written, unless there is something to answer.",
    where: "copy_from_user, copy_to_user",
  },
  B23: {
    level: "uapi",
    since: "v3",
    says:
      "GET_INFO whose answer cannot be written is EFAULT; in the series as it was posted it succeeded.",
    where: "vfio_compat.c iommufd_vfio_iommu_get_info",
  },
  B45: {
    level: "uapi",
    since: "v3",
    says:
      "VFIO_IOAS may set another IOAS at any time, for devices that come; it takes no reference.",
    where: "vfio_compat.c iommufd_vfio_ioas",
  },
  S06: {
    level: "uapi",
    since: "6.2",
    says:
      "UNMAP_DMA of a range without an area succeeds, with 0 bytes; in v3 it was ENOENT.",
    where: "vfio_compat.c iommufd_vfio_unmap_dma",
  },
  S09: {
    level: "kernel",
    since: "v3",
    says:
      "Both halves of an area that is cut are known where the pages are counted, so that each is unmapped and unpinned once.",
    where: "io_pagetable.c iopt_area_split",
  },
  S10: {
    level: "kernel",
    since: "6.2",
    says: "An area that an access has pinned cannot be cut: EINVAL.",
    where: "io_pagetable.c iopt_area_split",
  },
  S21: {
    level: "kernel",
    since: "6.6",
    says:
      "The chain has DMA_AVAIL before the ranges, each capability padded to 8 bytes, and as many mappings to be had as a u32 can tell; v3 had the ranges first, unpadded.",
    where:
      "vfio_compat.c iommufd_vfio_iommu_get_info, iommufd_fill_cap_dma_avail",
  },
} as const satisfies Readonly<Record<string, Rule>>;
