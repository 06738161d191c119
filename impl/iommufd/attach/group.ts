// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a context knows about an IOMMU group.
 *
 * Linux: struct iommufd_group of iommufd_private.h, iommufd_get_group and
 * iommufd_put_group of device.c.
 *
 * @module
 */

import {
  type Device,
  deviceIommuCapable,
  deviceIommuOps,
  type IommuOps,
} from "../../iommu/device.ts";
import {
  deviceClaimDmaOwner,
  deviceReleaseDmaOwner,
} from "../../iommu/dma_owner.ts";
import type { Group } from "../../iommu/group.ts";
import { XarrayNodes } from "../../lib/xarray_nodes.ts";
import { EINVAL } from "../../uapi/errno.ts";
import type { IommufdCtx } from "../main.ts";
import { NO_IOMMU_LINK } from "../noiommu/link.ts";
import type { Attachments } from "./attachments.ts";
import { GroupAttachments } from "./group_attachments.ts";

/** What a device is bound with: all that attaches when it does. */
export interface BoundGroup {
  /** What its devices are attached to. */
  readonly attachments: Attachments;
  /** The driver of a device's IOMMU. */
  iommuOps(dev: Device): IommuOps;
  /** A device is given back. */
  unbind(dev: Device): void;
}

/** Takes a device. Throws as `IommufdDevice.bindDevice()`. */
export function bindGroup(ctx: IommufdCtx, dev: Device): BoundGroup {
  const { bindsWithoutIommu } = ctx.kernel.revision.attach;
  return bindsWithoutIommu && dev.group === null
    ? new NoIommuGroup(ctx)
    : IommufdGroup.bind(ctx, dev);
}

/** That of a device without an IOMMU, of which nobody else can be the owner (Linux: iommufd_bind_noiommu). */
class NoIommuGroup implements BoundGroup {
  readonly attachments: Attachments;
  readonly #ctx: IommufdCtx;

  constructor(ctx: IommufdCtx) {
    const { kernel } = ctx;
    kernel.step("group.alloc");
    const msi = { start: undefined, setUp() {} };
    this.#ctx = ctx;
    this.attachments = new GroupAttachments(kernel, msi, NO_IOMMU_LINK);
  }

  /** What stands in for one. */
  iommuOps(): IommuOps {
    return this.#ctx.kernel.noIommu;
  }

  unbind(dev: Device): void {
    this.#ctx.kernel.warnings.on(
      !this.attachments.isEmpty,
      `iommufd: ${dev.name} is released while attached`,
    );
  }
}

/** An IOMMU group in a context. */
export class IommufdGroup implements BoundGroup {
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

  /** Takes a device and with it the DMA of its group (Linux: iommufd_bind_iommu). */
  static bind(ctx: IommufdCtx, dev: Device): IommufdGroup {
    if (!deviceIommuCapable(dev, "cache-coherency")) {
      throw EINVAL.because("the IOMMU is not cache coherent");
    }
    using undo = new DisposableStack();
    const igroup = IommufdGroup.get(ctx, dev);
    undo.defer(() => igroup.put());
    ctx.attaching.checkBind(dev, igroup.group);
    deviceClaimDmaOwner(dev, ctx);
    undo.move();
    return igroup;
  }

  iommuOps(dev: Device): IommuOps {
    return deviceIommuOps(dev);
  }

  unbind(dev: Device): void {
    deviceReleaseDmaOwner(dev);
    this.put();
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
      () => XarrayNodes.of(Array.from(ctx.groups.keys(), ({ id }) => id)),
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
