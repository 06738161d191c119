// SPDX-License-Identifier: GPL-2.0-only

/**
 * What differs in how devices are bound and attached.
 *
 * @module
 */

import { Differences } from "./differences.ts";

/** Devices. */
export class AttachDifferences extends Differences {
  /** MSI isolation is checked at bind; else at attach, where a flag overrides it (S18). */
  readonly msiCheckedAtBind: boolean = this.since("6.6");
  /** All devices of a group share one HWPT, kept per group; device_replace exists (S19; iommufd_group). */
  readonly hasGroups: boolean = this.since("6.6");
  /** An MSI and a software MSI region together are a driver bug; else the real one wins (S20). */
  readonly warnsMixedMsiRegions: boolean = this.since("6.2");
}
