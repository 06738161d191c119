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

import { KernelBug } from "../kernel/warn.ts";
import { Dma } from "./hardware/dma.ts";
import type { Domain } from "./domain.ts";
import { type Group, IOMMU_NO_PASID } from "./group.ts";
import type { Iommu } from "./iommu.ts";
import type { PageRequest, PageResponse } from "./page_fault.ts";
import type { FaultParam } from "./page_fault_queue.ts";
import { PageRequests } from "./hardware/page_requests.ts";
import type { ResvRegion } from "./resv.ts";
import type { UserData } from "./user_data.ts";
import type { Viommu, ViommuOps } from "./viommu/viommu.ts";

/**
 * What an IOMMU can do for one device (Linux: enum iommu_cap):
 *
 * - "cache-coherency": IOMMU_CACHE works; iommufd binds no device without;
 * - "enforce-cache-coherency": Domain.enforceCacheCoherency() will work;
 * - "dirty-tracking": domains can record writes by the device;
 * - "pci-ats-supported": the device may use PCI ATS; iommufd tells user space where it may not;
 * - "intr-remap": interrupts are remapped (Linux before 6.3; since then {@link Device.hasIsolatedMsi}).
 */
export type IommuCap =
  | "cache-coherency"
  | "enforce-cache-coherency"
  | "dirty-tracking"
  | "pci-ats-supported"
  | "intr-remap";

/** What a driver tells user space about the IOMMU of a device: see {@link IommuOps.hwInfo}. */
export interface HwInfo {
  /** What the bytes are: a number of the driver's own, not `IOMMU_HW_INFO_TYPE_NONE`. */
  readonly type: number;
  /** A struct that the driver and its users agreed on. */
  readonly bytes: Uint8Array;
}

/** What the PASID capability of a PCI device is set to (Linux: pci_pasid_status). */
export interface PciPasid {
  /** Requests may ask for execute permission. */
  readonly exec: boolean;
  /** Requests may ask for privileged access. */
  readonly priv: boolean;
}

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
  /** Attached to a device before {@link releaseDevice}; often the blocked one, in whose place a device that needs a 1:1 map gets {@link identityDomain}. */
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

  /**
   * A paging domain as user space wants it: empty, and complete before it is
   * attached. `flags` are `IOMMU_HWPT_ALLOC_*`: NEST_PARENT, DIRTY_TRACKING
   * (for devices with that capability only) and PASID; `userData` says how to
   * set it up, if the driver has something to choose. Without this, iommufd
   * uses {@link domainAllocPaging} and refuses whatever goes beyond.
   *
   * Throws EOPNOTSUPP for flags and types of data that it does not know,
   * EINVAL for data that make no sense, what copyStructFromUser() of
   * user_data.ts throws, ENOMEM. (Linux: domain_alloc_paging_flags.)
   */
  domainAllocPagingFlags?(
    dev: Device,
    flags: number,
    userData: UserData | undefined,
  ): Domain;

  /**
   * A domain of type "nested" on top of `parent`, a paging domain of this
   * driver's that was allocated as nesting parent: user space owns its page
   * table, which `userData` describes, and its output is an IOVA of the
   * parent. `flags` are 0 or IOMMU_HWPT_ALLOC_PASID. Throws as
   * {@link domainAllocPagingFlags} does. (Linux: domain_alloc_nested.)
   */
  domainAllocNested?(
    dev: Device,
    parent: Domain,
    flags: number,
    userData: UserData,
  ): Domain;

  /**
   * What user space needs to know about the hardware to build page tables for
   * it, as IOMMU_GET_HW_INFO hands out. `type` is what is wanted, or
   * IOMMU_HW_INFO_TYPE_DEFAULT. Throws EOPNOTSUPP for a type that it does not
   * have, ENOMEM. (Linux: hw_info.)
   */
  hwInfo?(dev: Device, type: number): HwInfo;

  /** Whether the device's IOMMU has virtual IOMMUs of a type, `IOMMU_VIOMMU_TYPE_*` (Linux: get_viommu_size is not 0). */
  hasViommu?(dev: Device, type: number): boolean;

  /**
   * Sets a virtual IOMMU up, of a type that it {@link hasViommu}; `userData` say
   * how, if user space gives any, and can take an answer. Returns what the
   * driver implements for it. Throws to refuse it, and what copyStructFromUser()
   * of user_data.ts throws. (Linux: viommu_init.)
   */
  viommuInit?(viommu: Viommu, userData: UserData | undefined): ViommuOps;

  /** The device's reserved regions. */
  resvRegions?(dev: Device): readonly ResvRegion[];

  /**
   * Whether user space manages the table of PASIDs: then page faults of a PASID
   * that nothing is attached to go to the nested domain of the device.
   * (Linux: user_pasid_table.)
   */
  readonly userPasidTable?: boolean;

  /**
   * Answers a group of page requests. `last` is the last of them, or a single
   * one that nobody handles. Needed by drivers that report page faults.
   * (Linux: page_response.)
   */
  pageResponse?(dev: Device, last: PageRequest, response: PageResponse): void;
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
  /** How many PASIDs the IOMMU driver enabled for it; 0 means that there are none (Linux: dev_iommu.max_pasids). */
  maxPasids = 0;
  /** What its PASID capability allows; undefined for a device that is not on a PCI bus. */
  pciPasid: PciPasid | undefined;
  /**
   * It has a "direct" region and so cannot be attached to a blocking domain,
   * nor be given to VFIO or iommufd. Set by the core when it is probed.
   */
  requireDirect = false;
  /**
   * Whether it is a PCI virtual function. Its page requests share one interface
   * with the physical function's, which a user must not be able to fail.
   */
  isVirtualFunction = false;
  /** Whether it, or its physical function, can make page requests (Linux: pci_pri_supported). */
  hasPri = false;
  /** Its page faults while it is in an IopfQueue, else null. */
  faultParam: FaultParam | null = null;

  /** What it reads and writes by itself, for who plays the hardware. */
  readonly dma: Dma;
  /** Its requests for pages that its DMA did not find, for who plays the hardware. */
  readonly pageRequests: PageRequests = new PageRequests(this);

  /** A device not yet probed: see `probeDevice()`. */
  constructor(iommu: Iommu, name: string, ops: IommuOps | null) {
    this.iommu = iommu;
    this.name = name;
    this.ops = ops;
    this.dma = new Dma(iommu, (pasid) => this.translation(pasid), this);
  }

  /** What translates its DMA with a PASID, or without; undefined if nothing is attached there. */
  translation(pasid: number): Domain | undefined {
    if (pasid === IOMMU_NO_PASID) return this.group?.domain ?? undefined;
    return this.group?.pasidArray.get(pasid)?.domain ?? undefined;
  }
}

/** Whether the device is behind an IOMMU that has the capability for it (Linux: device_iommu_capable). */
export function deviceIommuCapable(dev: Device, cap: IommuCap): boolean {
  if (dev.group === null) return false;
  return dev.ops?.capable?.(dev, cap) ?? false;
}

/** The driver of a device that has been probed (Linux: dev_iommu_ops). */
export function deviceIommuOps(dev: Device): IommuOps {
  if (dev.group === null || dev.ops === null) {
    throw new KernelBug(`Device ${dev.name} is not behind an IOMMU`);
  }
  return dev.ops;
}
