// SPDX-License-Identifier: GPL-2.0-only

/**
 * Devices that do DMA, and what the driver of an IOMMU implements for those
 * behind it.
 *
 * A driver is an object with {@link IommuOps} plus at least one class that
 * extends Domain. For each device there is a {@link Device} (or a class of the
 * driver's own that extends it); `probeDevice()` of probe.ts brings it under
 * the driver. impl/mock is a complete example.
 *
 * @module
 */

import type { Domain } from "./domain.ts";
import type { Group } from "./group.ts";
import type { Iommu } from "./iommu.ts";
import type { ResvRegion } from "./resv.ts";

/**
 * What an IOMMU can do for one device (Linux: enum iommu_cap):
 *
 * - "cache-coherency": IOMMU_CACHE works; iommufd binds no device without;
 * - "enforce-cache-coherency": Domain.enforceCacheCoherency() will work;
 * - "dirty-tracking": domains can record writes by the device;
 * - "intr-remap": interrupts are remapped (Linux before 6.3; since then {@link Device.hasIsolatedMsi}).
 */
export type IommuCap =
  | "cache-coherency"
  | "enforce-cache-coherency"
  | "dirty-tracking"
  | "intr-remap";

/**
 * The operations of an IOMMU driver (Linux: struct iommu_ops). One object
 * answers for every device behind the same kind of IOMMU; a domain attaches to
 * devices whose `ops` are its own `owner`.
 */
export interface IommuOps {
  /** The IOMMU core of the kernel that the driver runs in. */
  readonly iommu: Iommu;

  /** A domain that blocks all DMA and can always be attached. Without it the core uses an empty paging domain. */
  readonly blockedDomain?: Domain;
  /** A domain that translates nothing and can always be attached. */
  readonly identityDomain?: Domain;
  /** The default domain of every group, when the driver does not leave that to the core. */
  readonly defaultDomain?: Domain;
  /** Attached to a device before {@link releaseDevice}. */
  readonly releaseDomain?: Domain;

  /** Whether the device has a capability. Without this it has none. */
  capable?(dev: Device, cap: IommuCap): boolean;

  /** Takes a device on. Throws ENODEV for a device that is not behind this IOMMU. */
  probeDevice?(dev: Device): void;

  /** Lets go of a device; from here on it must not use any domain that it was attached to. */
  releaseDevice?(dev: Device): void;

  /**
   * The group that a device belongs to, with a reference for it: for instance
   * `iommu.allocGroup()` for a device that can be isolated from all others
   * (Linux: generic_device_group), or `group.get()` of a neighbour's group.
   */
  deviceGroup(dev: Device): Group;

  /** The kind of default domain that the device needs; "dma" by default. */
  defDomainType?(dev: Device): "identity" | "dma";

  /**
   * A new, empty paging domain, to be attached to the device first. Throws
   * ENOMEM. (Linux: domain_alloc_paging.)
   */
  domainAllocPaging(dev: Device): Domain;

  /** The device's reserved regions. */
  resvRegions?(dev: Device): readonly ResvRegion[];
}

/** A device that does DMA (Linux: struct device with its dev_iommu). */
export class Device {
  /** The IOMMU core of its kernel. */
  readonly iommu: Iommu;
  /** Its name, for instance `0000:00:04.0`. */
  readonly name: string;
  /** The driver of the IOMMU in front of it; null when there is none. */
  readonly ops: IommuOps | null;
  /** Its group while the IOMMU driver has it, else null. */
  group: Group | null = null;
  /**
   * Whether its memory writes can trigger interrupts of its own user only
   * (Linux: msi_device_has_isolated_msi).
   */
  hasIsolatedMsi = false;
  /**
   * It has a "direct" region and so cannot be attached to a blocking domain,
   * nor be given to VFIO or iommufd. Set by the core when it is probed.
   */
  requireDirect = false;

  /** A device not yet probed: see `probeDevice()`. */
  constructor(iommu: Iommu, name: string, ops: IommuOps | null) {
    this.iommu = iommu;
    this.name = name;
    this.ops = ops;
  }
}

/** Whether the device is behind an IOMMU that has the capability for it (Linux: device_iommu_capable). */
export function deviceIommuCapable(dev: Device, cap: IommuCap): boolean {
  if (dev.group === null) return false;
  return dev.ops?.capable?.(dev, cap) ?? false;
}
