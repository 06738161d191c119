// SPDX-License-Identifier: GPL-2.0-only

/**
 * The state of the IOMMU core: what Linux keeps in global variables of
 * drivers/iommu/iommu.c.
 *
 * @module
 */

import type { KernelCore } from "../kernel/core.ts";
import { IdTable } from "../lib/id_table.ts";
import { TableMemory } from "./amdv1/table.ts";
import { Group } from "./group.ts";

/** The IOMMU core of one kernel. */
export class Iommu {
  /** The kernel. */
  readonly kernel: KernelCore;
  /** All groups by number. */
  readonly groups: IdTable<Group> = new IdTable<Group>({
    first: 0,
    max: 2 ** 31 - 1,
  });
  /** The memory that page tables lie in. */
  readonly tableMemory: TableMemory = new TableMemory();
  /**
   * Whether the platform's interrupt controllers isolate the MSIs of every
   * device, as ARM's GIC ITS does (Linux before 6.3: irq_domain_check_msi_remap).
   */
  irqDomainMsiRemap = false;

  /** A core without groups. */
  constructor(kernel: KernelCore) {
    this.kernel = kernel;
  }

  /**
   * A new group without devices, with the lowest free number and one
   * reference. Throws ENOMEM. (Linux: iommu_group_alloc.)
   */
  allocGroup(): Group {
    const { kernel } = this;
    kernel.step("iommuGroup.alloc");
    const id = this.groups.alloc();
    try {
      // Its name and its directory; the directory "devices" and two files in that.
      kernel.step("iommuGroup.add");
    } catch (error) {
      this.groups.erase(id);
      throw error;
    }
    const group = new Group(this, id);
    this.groups.publish(id, group);
    return group;
  }
}
