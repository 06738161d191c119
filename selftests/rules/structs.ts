// SPDX-License-Identifier: GPL-2.0-only

/**
 * Ioctls, structs and objects: What holds for every ioctl of an iommufd, and
 * for the ids that they hand out.
 *
 * @module
 */

import type { Rule } from "./rule.ts";

/** The rules by code. */
export const STRUCTS_RULES = {
  "P05.2": {
    level: "uapi",
    since: "v3",
    says:
      "An ioctl is a row of a table. A number outside of the table goes to the VFIO container, and one that neither knows is ENOTTY; so is a number of the table with a size or a direction in it.",
    where: "main.c iommufd_fops_ioctl",
  },
  "P05.3": {
    level: "uapi",
    since: "v3",
    says:
      "The first field of every struct is its size in bytes. A struct that cannot be read, all of it, is EFAULT.",
    where: "main.c iommufd_fops_ioctl",
  },
  "P05.7": {
    level: "kernel",
    since: "v3",
    says: "An object gets the lowest free id from 1 on.",
    where: "main.c _iommufd_object_alloc",
  },
  "P05.9": {
    level: "uapi",
    since: "v3",
    says:
      "An id that nothing has, or an object of another type than is asked for, is ENOENT.",
    where: "main.c iommufd_get_object",
  },
  "P05.11": {
    level: "uapi",
    since: "v3",
    says:
      "DESTROY of an object that something else uses is EBUSY, and of an id of nothing ENOENT.",
    where: "main.c iommufd_destroy",
  },
  "P05.13": {
    level: "uapi",
    since: "v3",
    says:
      "What was made in a context and has a file of its own, such as an access, keeps the context alive after its descriptor is closed.",
    where: "main.c iommufd_ctx_get",
  },
  "P05.14": {
    level: "uapi",
    since: "v3",
    says:
      "The descriptor of an iommufd cannot be read, written or, without memory of drivers, mapped; poll() says at once that it is ready.",
    where:
      "main.c iommufd_fops, iommufd_fops_mmap; selftest.c iommfd_test_staccess_fops",
  },
  "P05.15": {
    level: "uapi",
    since: "v3",
    says:
      "Each open of /dev/iommu makes a context with ids of its own. A copy of the descriptor is the same context.",
    where: "main.c iommufd_fops_open",
  },
  "P05.16": {
    level: "uapi",
    since: "v3",
    says:
      "A reply that cannot be written is EFAULT. What the ioctl did is not always undone: what MAP has mapped stays.",
    where: "ioas.c iommufd_ioas_map",
  },
  "P05.17": {
    level: "uapi",
    since: "v3",
    says:
      "A struct may lie at any address, across pages too, and in memory that cannot be written, unless the ioctl has something to answer.",
    where:
      "copy_struct_from_user, copy_to_user; iommufd_private.h iommufd_ucmd_respond",
  },
  "C3.3": {
    level: "uapi",
    since: "v3",
    says:
      "An id means an object of the descriptor that the ioctl is made on; objects of another context are as unknown as those that do not exist.",
    where: "main.c iommufd_get_object",
  },
  "C3.10": {
    level: "uapi",
    since: "v3",
    says:
      "A struct may have any length from that of its first version on. What a shorter one lacks counts as zero, and the reply is no longer than the caller's struct. What a longer one has beyond the kernel's must be zero, else it is E2BIG, found byte by byte before memory that is not there.",
    where:
      "main.c iommufd_fops_ioctl, copy_struct_from_user; lib/usercopy.c check_zeroed_user",
  },
  "C3.11": {
    level: "uapi",
    since: "6.8",
    says:
      "Data for a driver come by address, length and type. Another type than the driver's, fewer bytes than its first version had, or more than it knows are refused, the last even if they are zero.",
    where:
      "include/linux/iommu.h __iommu_copy_struct_from_user; copy_struct_from_user",
  },
  "C3.12": {
    level: "uapi",
    since: "6.8",
    says:
      "Each request of an array for a driver has the length that the array says, and is checked as other data for a driver are.",
    where:
      "include/linux/iommu.h __iommu_copy_struct_from_user, iommu_copy_struct_from_user_array",
  },
  "C3.15": {
    level: "uapi",
    since: "v3",
    says:
      "A number is never used for anything else, so ENOTTY tells a program what its kernel does not have.",
    where: "main.c iommufd_fops_ioctl",
  },
  "C3.16": {
    level: "uapi",
    since: "v3",
    says:
      "Unknown flags and reserved fields that are not zero are EOPNOTSUPP, before any id is looked up.",
    where:
      "ioas.c, hw_pagetable.c, device.c, eventq.c, vfio_compat.c: the first lines of each ioctl",
  },
  "C3.17": {
    level: "kernel",
    since: "6.7",
    says:
      "A few reserved fields are not looked at, and may hold anything: those of SET_DIRTY_TRACKING, and the last one of HWPT_ALLOC.",
    where: "hw_pagetable.c iommufd_hwpt_set_dirty_tracking, iommufd_hwpt_alloc",
  },
  B01: {
    level: "kernel",
    since: "v3",
    says:
      "IOAS_ALLOC whose reply cannot be written leaves nothing: the object is gone and its id is free. The series as it was posted lost both.",
    where: "ioas.c iommufd_ioas_alloc_ioctl",
  },
  B02: {
    level: "uapi",
    since: "6.2",
    says:
      "A struct shorter than its first version is EINVAL; in v3 it was EOPNOTSUPP.",
    where: "main.c iommufd_fops_ioctl",
  },
  B12: {
    level: "uapi",
    since: "6.2",
    says:
      "The reserved field of ALLOW_IOVAS must be zero; v3 did not look at it.",
    where: "ioas.c iommufd_ioas_allow_iovas",
  },
  B14: {
    level: "uapi",
    since: "6.2",
    says: "The reserved field of OPTION must be zero; v3 did not look at it.",
    where: "main.c iommufd_option",
  },
} as const satisfies Readonly<Record<string, Rule>>;
