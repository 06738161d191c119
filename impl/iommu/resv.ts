// SPDX-License-Identifier: GPL-2.0-only

/**
 * Reserved regions: IOVA that a device must not be given to map freely.
 *
 * @module
 */

import type { Device } from "./device.ts";
import type { Group } from "./group.ts";

/**
 * Why a region is reserved (Linux: enum iommu_resv_type).
 *
 * - "direct": must be mapped 1:1 at all times;
 * - "direct-relaxable": wants to be mapped 1:1, but may be given up when a device is assigned;
 * - "reserved": must never be mapped;
 * - "msi": the hardware's own MSI window, not translated;
 * - "sw-msi": where software maps MSI doorbells.
 */
export type ResvType =
  | "direct"
  | "direct-relaxable"
  | "reserved"
  | "msi"
  | "sw-msi";

/** One reserved region (Linux: struct iommu_resv_region). */
export interface ResvRegion {
  /** First address. */
  readonly start: bigint;
  /** Bytes, at least 1. */
  readonly length: bigint;
  /** Why it is reserved. */
  readonly type: ResvType;
  /** `IOMMU_*` bits of the 1:1 mapping of a direct region; 0 by default. */
  readonly prot?: number;
}

/** Regions that start together are ordered by type as in Linux's enum. */
const TYPE_ORDER: Readonly<Record<ResvType, number>> = {
  "direct": 0,
  "direct-relaxable": 1,
  "reserved": 2,
  "msi": 3,
  "sw-msi": 4,
};

/** The reserved regions of one device, in the driver's order (Linux: iommu_get_resv_regions). */
export function getResvRegions(dev: Device): readonly ResvRegion[] {
  return dev.ops?.resvRegions?.(dev) ?? [];
}

/**
 * The reserved regions of all devices of a group: sorted by start, then by
 * type, with regions of the same type merged where they overlap or touch.
 * Throws ENOMEM. (Linux: iommu_get_group_resv_regions.)
 */
export function getGroupResvRegions(group: Group): ResvRegion[] {
  let regions: ResvRegion[] = [];
  for (const dev of group.devices) {
    for (const region of getResvRegions(dev)) {
      group.iommu.kernel.step("resvRegion.alloc");
      regions = insertResvRegion(region, regions);
    }
  }
  return regions;
}

/** Answers to Linux's iommu_insert_resv_region; `regions` is sorted and merged. */
function insertResvRegion(
  region: ResvRegion,
  regions: readonly ResvRegion[],
): ResvRegion[] {
  const at = regions.findIndex((other) =>
    region.start < other.start ||
    (region.start === other.start &&
      TYPE_ORDER[region.type] <= TYPE_ORDER[other.type])
  );
  const merged: ResvRegion[] = [];
  let open = -1;
  const sorted = [...regions];
  sorted.splice(at < 0 ? regions.length : at, 0, region);
  for (const cur of sorted) {
    const top = open < 0 ? undefined : merged[open]!;
    if (cur.type !== region.type) {
      merged.push(cur);
    } else if (top === undefined || cur.start > top.start + top.length) {
      open = merged.push(cur) - 1;
    } else {
      const topEnd = top.start + top.length;
      const curEnd = cur.start + cur.length;
      const end = topEnd > curEnd ? topEnd : curEnd;
      merged[open] = { ...top, length: end - top.start };
    }
  }
  return merged;
}
