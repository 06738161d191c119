// SPDX-License-Identifier: GPL-2.0-only

/**
 * The iommufd user API: `include/uapi/linux/iommufd.h` of Linux 6.12.
 *
 * Field names are Linux's in camelCase (`__reserved` is `reserved`); u64 fields
 * are bigint.
 *
 * @module
 */

export * from "./fault.ts";
export * from "./hwpt.ts";
export * from "./ioas.ts";
export * from "./viommu.ts";
