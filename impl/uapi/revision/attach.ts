// SPDX-License-Identifier: GPL-2.0-only

/**
 * What differs in how devices are bound and attached.
 *
 * @module
 */

import { Differences } from "./differences.ts";

/** Devices. */
export class AttachDifferences extends Differences {
  /**
   * What attachments are kept with (S16, S18, S19; iommufd_group). "hwpt": the
   * domain enters the IOAS with its first device, and interrupts are checked
   * then, which a flag overrides. "group": all devices of a group share one
   * HWPT, whose domain is filled when it is allocated; interrupts are checked
   * at bind; and there is replace.
   */
  readonly keptWith: "hwpt" | "group" = this.from<"hwpt" | "group">({
    v3: "hwpt",
    "6.6": "group",
  });
  /** A device that refused a domain is not attached to the one before again (__iommu_group_set_domain_internal). */
  readonly revertSkipsFailed: boolean = this.since("6.19");
  /** Page faults of a PCI virtual function are refused only if it has PRI (iommufd_hwpt_compatible_device). */
  readonly refusesOnlyVfsWithPri: boolean = this.since("6.16");
  /** An MSI and a software MSI region together are a driver bug; else the real one wins (S20). */
  readonly warnsMixedMsiRegions: boolean = this.since("6.2");
}
