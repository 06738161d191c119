// SPDX-License-Identifier: GPL-2.0-only

/**
 * Devices under the control of an iommufd: what the driver of a device calls
 * on behalf of user space.
 *
 * ```ts ignore
 * const ctx = iommufdCtxFromFd(process, fd);    // user space named its iommufd
 * const idev = IommufdDevice.bindDevice(ctx, dev);    // DMA is blocked now; tell user space idev.id
 * const hwptId = idev.attach(ioasId);           // DMA reaches what the IOAS maps
 * idev.replace(otherIoasId);
 * idev.detach();                                // DMA is blocked again
 * idev.unbind();
 * ctx.put();
 * ```
 *
 * Linux: drivers/iommu/iommufd/device.c and include/linux/iommufd.h.
 *
 * @module
 */

import {
  type Device,
  deviceIommuCapable,
  type IommuOps,
} from "../../iommu/device.ts";
import { type Group, IOMMU_NO_PASID } from "../../iommu/group.ts";
import { isMockDevice } from "../../mock/mock_device.ts";
import { EINVAL, ENOENT, type Errno } from "../../uapi/errno.ts";
import type { Change } from "./attachments.ts";
import { bindGroup, type BoundGroup } from "./group.ts";
import { HwPagetable } from "../hwpt/hw_pagetable.ts";
import { Ioas } from "../ioas/ioas.ts";
import type { IommufdCtx } from "../main.ts";
import type { IommufdVdevice } from "../viommu/vdevice.ts";
import { IommufdObject } from "../objects/object.ts";

/** A device bound to a context (Linux: struct iommufd_device). */
export class IommufdDevice extends IommufdObject {
  /** Where there is none. */
  static override readonly notFound: Errno = ENOENT.because(
    "there is no device with this id",
  );
  /** The device. */
  readonly dev: Device;
  /** Its group in the context; there from {@link bindDevice} on. */
  igroup!: BoundGroup;
  /** What a virtual IOMMU knows it as, if one does. */
  vdevice: IommufdVdevice | undefined;
  /** Its driver gives it back: no virtual IOMMU gets it any more. */
  destroying = false;
  /** A domain for it must enforce cache coherency. */
  readonly enforceCacheCoherency: boolean;

  private constructor(ctx: IommufdCtx, dev: Device) {
    super(ctx);
    this.dev = dev;
    this.enforceCacheCoherency = deviceIommuCapable(
      dev,
      "enforce-cache-coherency",
    );
  }

  /**
   * Puts a device under a context, which then owns its DMA: it is blocked
   * until {@link attach}. Until {@link unbind} user space cannot destroy the
   * object, and the context stays. Nothing blocks the DMA of a device without
   * an IOMMU, which some revisions take too: see impl/iommufd/noiommu.
   *
   * Throws EINVAL for an IOMMU that is not cache coherent and for a device
   * without group; EPERM when somebody else owns the group, and where the
   * revision checks it here, when its interrupts are not isolated (unless
   * `kernel.options.allowUnsafeInterrupts`); EBUSY when the group uses a domain
   * of somebody else's; ENOMEM. (Linux: iommufd_device_bind.)
   */
  static bindDevice(ctx: IommufdCtx, dev: Device): IommufdDevice {
    using undo = new DisposableStack();
    const allocate = () => {
      const idev = new IommufdDevice(ctx, dev);
      undo.defer(() => ctx.objects.abort(idev));
      return idev;
    };
    const { bindAllocatesFirst } = ctx.kernel.revision.attach;
    const early = bindAllocatesFirst ? allocate() : undefined;
    const igroup = bindGroup(ctx, dev);
    undo.defer(() => igroup.unbind(dev));
    const idev = early ?? allocate();

    undo.move();
    idev.igroup = igroup;
    // A mock device is an object of the context itself and goes with it.
    if (!isMockDevice(dev)) ctx.get();
    idev.ref();
    ctx.objects.finalize(idev);
    return idev;
  }

  /** The driver of its IOMMU, or what stands in for one. */
  get iommuOps(): IommuOps {
    return this.igroup.iommuOps(this.dev);
  }

  /** Gives the device back; it must be detached (Linux: iommufd_device_unbind). */
  unbind(): void {
    this.ctx.objects.destroyUser(this);
  }

  /** Takes its vDEVICE from it, whose id stays (Linux: iommufd_device_remove_vdev). */
  override preDestroy(): void {
    this.destroying = true;
    if (this.vdevice === undefined) return;
    this.vdevice.ref();
    this.ctx.objects.tombstoneUser(this.vdevice);
  }

  /** For the object table: see {@link unbind} (Linux: iommufd_device_destroy). */
  override destroy(): void {
    this.igroup.unbind(this.dev);
    if (!isMockDevice(this.dev)) this.ctx.put();
  }

  /**
   * Attaches the device to an IOAS or a HWPT; DMA is possible when it returns:
   * DMA with a PASID, where one is given. For an IOAS a fitting HWPT is found
   * or made. Returns the id of the HWPT, which user space should be told.
   *
   * Throws ENOENT without such an object; EBUSY when the device is attached
   * already, for this PASID; EINVAL for another kind of object, for a HWPT that
   * does not fit, and when the rest of the group is attached elsewhere;
   * EADDRINUSE when the IOAS maps what the device or its IOMMU reserves; EFAULT
   * and ENOMEM when memory of the IOAS cannot be pinned. With `flags` see
   * IOMMUFD_ATTACH_FLAGS_ALLOW_UNSAFE_INTERRUPT.
   *
   * A group that uses PASIDs has only HWPTs that were allocated with
   * IOMMU_HWPT_ALLOC_PASID, else EINVAL: an IOAS will not do, as the HWPTs that
   * are made for one are not. Throws EOPNOTSUPP for an IOMMU driver without
   * PASIDs. (Linux: iommufd_device_attach.)
   */
  attach(ptId: number, pasid: number = IOMMU_NO_PASID, flags = 0): number {
    const { attachments } = this.igroup;
    const id = this.#change(ptId, {
      to: (hwpt) => {
        attachments.attach(this, hwpt, pasid, flags);
        return undefined;
      },
      undo: () => attachments.detach(this, pasid)?.unref(),
    });
    // Catches drivers that unbind without detaching.
    this.ref();
    return id;
  }

  /**
   * Attaches it, and its whole group, to something else without blocking DMA
   * in between; if it throws nothing has changed. Errnos as {@link attach},
   * and EINVAL when it is not attached. Returns the id of the new HWPT. For
   * revisions that keep devices per group. (Linux: iommufd_device_replace.)
   */
  replace(ptId: number, pasid: number = IOMMU_NO_PASID): number {
    const { attachments } = this.igroup;
    const to = (hwpt: HwPagetable) => attachments.replace(this, hwpt, pasid);
    return this.#change(ptId, { to });
  }

  /**
   * Detaches it: its DMA is blocked again, that with the PASID where one is
   * given. What is not attached stays so, where the revision accepts that.
   * (Linux: iommufd_device_detach.)
   */
  detach(pasid: number = IOMMU_NO_PASID): void {
    const hwpt = this.igroup.attachments.detach(this, pasid);
    if (hwpt === undefined) return;
    hwpt.drop();
    this.unref();
  }

  /** The PASIDs that it is attached for, IOMMU_NO_PASID if it is attached without one. */
  get pasids(): number[] {
    return [...this.igroup.attachments]
      .filter(({ devices }) => devices.has(this))
      .map(({ pasid }) => pasid);
  }

  /** Linux: iommufd_device_change_pt. Returns the id of the HWPT. */
  #change(ptId: number, change: Change): number {
    const pt = this.ctx.objects.get(ptId, IommufdObject);
    let old: HwPagetable | undefined;
    let id = ptId;
    try {
      if (pt instanceof HwPagetable) old = change.to(pt);
      else if (pt instanceof Ioas) ({ id, old } = this.#changeAuto(pt, change));
      else throw EINVAL.because("the object is no IOAS and no HWPT");
    } finally {
      pt.put();
    }
    old?.drop();
    return id;
  }

  /**
   * Changes to any automatic HWPT of an IOAS that takes the device, or to a
   * new one. HWPTs that user space made are never chosen.
   * (Linux: iommufd_device_auto_get_domain.)
   */
  #changeAuto(
    ioas: Ioas,
    change: Change,
  ): { id: number; old: HwPagetable | undefined } {
    for (const hwpt of ioas.autoHwpts) {
      if (!hwpt.lock()) continue;
      try {
        return { id: hwpt.id, old: change.to(hwpt) };
      } catch (error) {
        // The domain does not fit the device; other errors are final.
        if (!EINVAL.is(error)) throw error;
      } finally {
        hwpt.put();
      }
    }
    const { hwpt, old } = this.ctx.attaching.changeToNew(ioas, this, change);
    ioas.autoHwpts.add(hwpt);
    this.ctx.objects.finalize(hwpt);
    return { id: hwpt.id, old };
  }
}

/** Whether a device of the IOMMU group is bound to the context, which then owns the group (Linux: iommufd_ctx_has_group). */
export function iommufdCtxHasGroup(ctx: IommufdCtx, group: Group): boolean {
  return ctx.groups.has(group);
}
