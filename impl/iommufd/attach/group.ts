// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a context knows about an IOMMU group.
 *
 * Linux: struct iommufd_group of iommufd_private.h, iommufd_get_group and
 * iommufd_put_group of device.c.
 *
 * @module
 */

import type { Device } from "../../iommu/device.ts";
import type { Group } from "../../iommu/group.ts";
import { XarrayNodes } from "../../lib/xarray_nodes.ts";
import type { IommufdCtx } from "../main.ts";
import type { Attachments } from "./attachments.ts";

/** An IOMMU group in a context. */
export class IommufdGroup {
  /** The IOMMU group. */
  readonly group: Group;
  /** What its devices are attached to. */
  readonly attachments: Attachments;
  readonly #ctx: IommufdCtx;
  #refs = 1;

  private constructor(ctx: IommufdCtx, group: Group) {
    this.#ctx = ctx;
    this.group = group.get();
    const msi = ctx.swMsi.ofGroup(group);
    this.attachments = ctx.attaching.attachmentsOf(group, msi);
  }

  /**
   * The group of a device that has one, in a context, with a reference. Throws
   * ENOMEM. (Linux: iommufd_get_group.)
   */
  static get(ctx: IommufdCtx, dev: Device): IommufdGroup {
    const group = dev.group!;
    const known = ctx.groups.get(group);
    if (known !== undefined) {
      known.#refs++;
      return known;
    }
    ctx.kernel.step("group.alloc");
    ctx.kernel.allocNodes(
      () => XarrayNodes.of(ctx.groups.keys().map(({ id }) => id)),
      group.id,
      group.id,
    );
    const igroup = new IommufdGroup(ctx, group);
    ctx.groups.set(group, igroup);
    return igroup;
  }

  /** Drops a reference (Linux: iommufd_put_group). */
  put(): void {
    if (--this.#refs > 0) return;
    this.#ctx.kernel.warnings.on(
      !this.attachments.isEmpty,
      `iommufd: group ${this.group.id} is released while attached`,
    );
    this.#ctx.groups.delete(this.group);
    this.group.put();
  }
}
