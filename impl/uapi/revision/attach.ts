// SPDX-License-Identifier: GPL-2.0-only

/**
 * What differs in how devices are bound and attached.
 *
 * @module
 */

import { EBUSY, EINVAL, type Errno } from "../errno.ts";
import { Differences } from "./differences.ts";

/** Devices. */
export class AttachDifferences extends Differences {
  /**
   * What attachments are kept with (iommufd_group). "hwpt": the
   * domain enters the IOAS with its first device, and interrupts are checked
   * then, which a flag overrides. "group": all devices of a group share one
   * HWPT, whose domain is filled when it is allocated; interrupts are checked
   * at bind; and there is replace.
   */
  readonly keptWith: "hwpt" | "group" = this.from<"hwpt" | "group">({
    v3: "hwpt",
    "6.6": "group",
  });
  /** bind allocates the object before it checks anything (iommufd_device_bind). */
  readonly bindAllocatesFirst: boolean = this.since("7.3");
  /** Devices without an IOMMU are bound too (iommufd_device_is_noiommu). */
  readonly bindsWithoutIommu: boolean = this.since("7.3");
  /** A device that refused a domain is not attached to the one before again (__iommu_group_set_domain_internal). */
  readonly revertSkipsFailed: boolean = this.since("6.19");
  /** The default domain of a device with PASIDs is asked for with that flag, if the driver can (__iommu_group_alloc_default_domain). */
  readonly defaultDomainForPasids: boolean = this.since("6.14");
  /** Nothing is attached to a group while one of its devices is reset that has ATS (pci_dev_reset_iommu_prepare). */
  readonly refusesDuringReset: boolean = this.since("7.3");
  /** A device that needs a 1:1 map is not left to a blocking domain when its driver lets go (iommu_deinit_device). */
  readonly releaseKeepsDirect: boolean = this.since("7.0");
  /** Page faults of a PCI virtual function are refused only if it has PRI (iommufd_hwpt_compatible_device). */
  readonly refusesOnlyVfsWithPri: boolean = this.since("6.16");
  /** HWPTs can be allocated for PASIDs (IOMMU_HWPT_ALLOC_PASID of iommufd_hwpt_alloc). */
  readonly hasPasids: boolean = this.since("6.15");
  /** What attaching a device that is attached throws; with its own HWPT, older ones corrupted their list (iommufd_hw_pagetable_attach). */
  readonly attachTwiceErrno: Errno = this.from({ v3: EINVAL, "6.15": EBUSY });
  /** Detaching a device that is not attached does nothing; else it is a fault of the driver's (iommufd_device_detach). */
  readonly detachesNothing: boolean = this.since("6.15");
  /** Attachments are remembered by PASID, in memory that is allocated before anything is checked (pasid_attach, pasid_array). */
  readonly allocatesByPasid: boolean = this.since("6.15");
  /**
   * How the doorbells of interrupts are mapped that software must map. "cookie":
   * by the IOMMU core, in a window of each domain; "list": by iommufd, at the
   * same place in all domains of a context (iommufd_sw_msi).
   */
  readonly softwareMsi: "cookie" | "list" = this.from<"cookie" | "list">({
    v3: "cookie",
    "6.15": "list",
  });
  /** An MSI and a software MSI region together are a driver bug; else the real one wins (iopt_table_enforce_dev_resv_regions). */
  readonly warnsMixedMsiRegions: boolean = this.since("6.2");
}
