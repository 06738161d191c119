// SPDX-License-Identifier: GPL-2.0-only

/**
 * Ranges of IOVA that are allowed or reserved.
 *
 * @module
 */

import type { Device } from "../../iommu/device.ts";
import { Domain } from "../../iommu/domain.ts";
import type { ResvRegion } from "../../iommu/resv.ts";
import { IntervalNode, IntervalTree } from "../../lib/interval_tree.ts";
import { EINVAL } from "../../uapi/errno.ts";
import type { IoPagetable } from "./io_pagetable.ts";

/**
 * A range of IOVA: one that kernel-chosen maps keep to and that cannot become
 * reserved, one that must not be mapped, or one that a test pinned. Linux:
 * struct iopt_allowed, struct iopt_reserved, struct selftest_access_item; one
 * class here, because tree code slows down when it meets more than four kinds
 * of nodes.
 */
export class IoptRange<T = object | null> extends IntervalNode<bigint> {
  /** Who gives a reserved range up again: a domain, a device, or null. What else a range stands for. */
  readonly owner: T;

  /** The range from `start` to `last`, inclusive. */
  constructor(start: bigint, last: bigint, owner: T) {
    super(start, last);
    this.owner = owner;
  }
}

/** Where a reserved range is from, for a message: what lies "…". */
export function describeOwner(owner: object | null): string {
  if (owner instanceof Domain) return "outside of what a domain can map";
  return owner === null
    ? "in a reserved range"
    : "where a device reserves IOVA";
}

/** Ranges that must not be mapped; they may overlap. Their owner gives up all of them at once. */
export class ReservedTree extends IntervalTree<bigint, IoptRange> {
  readonly #owned: Map<object | null, IoptRange[]> = new Map();

  /** Adds a range. */
  override insert(range: IoptRange): void {
    super.insert(range);
    const ranges = this.#owned.get(range.owner);
    if (ranges === undefined) this.#owned.set(range.owner, [range]);
    else ranges.push(range);
  }

  /** Removes all ranges of an owner. */
  removeOwned(owner: object | null): void {
    for (const range of this.#owned.get(owner) ?? []) this.remove(range);
    this.#owned.delete(owner);
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
  iopt.kernel.step("resvRegions.enforce");
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
  if (revision.attach.warnsMixedMsiRegions) {
    const mixed = hardware.length > 0 && software.length > 0;
    if (
      warnings.on(mixed, "resv_regions: both MSI and software MSI") ||
      warnings.on(software.length > 1, "resv_regions: two software MSI")
    ) throw EINVAL.because("a device has MSI regions that do not go together");
  } else if (hardware.length > 0) {
    return undefined;
  }
  return software.at(-1)?.start;
}
