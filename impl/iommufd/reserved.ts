// SPDX-License-Identifier: GPL-2.0-only

/**
 * Ranges of IOVA that are allowed or reserved.
 *
 * @module
 */

import type { Device } from "../iommu/device.ts";
import type { ResvRegion } from "../iommu/resv.ts";
import { IntervalNode } from "../lib/interval_tree.ts";
import { EINVAL } from "../uapi/errno.ts";
import type { IoPagetable } from "./io_pagetable.ts";

/** IOVA that kernel-chosen maps keep to and that cannot become reserved. Linux: struct iopt_allowed. */
export class IoptAllowed extends IntervalNode<bigint> {}

/** IOVA that must not be mapped. Linux: struct iopt_reserved. */
export class IoptReserved extends IntervalNode<bigint> {
  /** Who gives it up again: a domain, a device, or null for the selftests. */
  readonly owner: object | null;

  /** Reserves `start` to `last` inclusive for `owner`. */
  constructor(start: bigint, last: bigint, owner: object | null) {
    super(start, last);
    this.owner = owner;
  }
}

/**
 * Reserves what a device cannot translate and returns the start of its
 * software MSI window, if it has one and `wantSwMsi` is set. Throws EADDRINUSE
 * if something is mapped there, EINVAL for a combination of MSI regions that
 * makes no sense, ENOMEM; then nothing stays reserved. Linux:
 * iopt_table_enforce_dev_resv_regions.
 */
export function enforceResvRegions(
  iopt: IoPagetable,
  dev: Device,
  regions: readonly ResvRegion[],
  options: { readonly wantSwMsi: boolean },
): bigint | undefined {
  if (iopt.kernel.shouldFail()) throw EINVAL;
  try {
    for (const { type, start, length } of regions) {
      if (type === "direct-relaxable") continue;
      iopt.reserveIova(start, start + length - 1n, dev);
    }
    return options.wantSwMsi ? swMsiStart(iopt, regions) : undefined;
  } catch (error) {
    iopt.removeReservedIova(dev);
    throw error;
  }
}

function swMsiStart(
  iopt: IoPagetable,
  regions: readonly ResvRegion[],
): bigint | undefined {
  const { revision, warnings } = iopt.kernel;
  const hardware = regions.filter((region) => region.type === "msi");
  const software = regions.filter((region) => region.type === "sw-msi");
  if (revision.warnsMixedMsiRegions) {
    const mixed = hardware.length > 0 && software.length > 0;
    if (
      warnings.on(mixed, "resv_regions: both MSI and software MSI") ||
      warnings.on(software.length > 1, "resv_regions: two software MSI")
    ) throw EINVAL;
  } else if (hardware.length > 0) {
    return undefined;
  }
  return software.at(-1)?.start;
}
