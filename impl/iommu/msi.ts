// SPDX-License-Identifier: GPL-2.0-only

/**
 * Whether a device that writes to memory can forge somebody else's interrupts.
 *
 * @module
 */

import type { Group } from "./group.ts";

/**
 * True if the interrupts of every device in the group are isolated: one that
 * is not spoils it for all. (Linux: iommu_group_has_isolated_msi.)
 */
export function groupHasIsolatedMsi(group: Group): boolean {
  return group.devices.every((dev) => dev.hasIsolatedMsi);
}
