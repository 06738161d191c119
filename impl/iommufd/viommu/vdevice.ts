// SPDX-License-Identifier: GPL-2.0-only

/**
 * Virtual devices: that a virtual IOMMU has a device, and under which number.
 *
 * A device has at most one. When the device goes, so does its vDEVICE, whoever
 * made it, and nothing else ever gets its id: user space still believes that it
 * has the vDEVICE.
 *
 * Linux: struct iommufd_vdevice, viommu.c.
 *
 * @module
 */

import type { Device } from "../../iommu/device.ts";
import type { Vdevice } from "../../iommu/viommu/viommu.ts";
import { XarrayNodes } from "../../lib/xarray_nodes.ts";
import { EEXIST, ENOENT, type Errno } from "../../uapi/errno.ts";
import type { IommuVdeviceAlloc } from "../../uapi/iommufd.ts";
import { IommufdDevice } from "../attach/device.ts";
import { IommufdObject } from "../objects/object.ts";
import type { Ucmd } from "../objects/ucmd.ts";
import { IommufdViommu } from "./viommu.ts";

/**
 * A device of a virtual IOMMU (Linux: struct iommufd_vdevice). It is a user of
 * the virtual IOMMU, and of the device until that is destroyed.
 */
export class IommufdVdevice extends IommufdObject implements Vdevice {
  /** Where there is none. */
  static override readonly notFound: Errno = ENOENT.because(
    "there is no vDEVICE with this id",
  );
  /** The virtual IOMMU. */
  readonly viommu: IommufdViommu;
  /** What the virtual machine calls the device. */
  readonly virtId: bigint;
  readonly #idev: IommufdDevice;
  #undo: (() => void) | undefined;

  /** Takes its references: {@link IommufdDevice} waits for the one on the device. */
  constructor(viommu: IommufdViommu, idev: IommufdDevice, virtId: bigint) {
    super(viommu.ctx);
    this.viommu = viommu;
    this.virtId = virtId;
    this.#idev = idev;
    viommu.ref();
    idev.lock();
    idev.vdevice = this;
  }

  /** For a message. */
  override get called(): string {
    return "a vDEVICE";
  }

  /** For a message. */
  override get uses(): readonly (IommufdObject | undefined)[] {
    return [this.viommu, this.#idev];
  }

  /** The device. */
  get dev(): Device {
    return this.#idev.dev;
  }

  /** Makes it known to the virtual IOMMU. Throws EEXIST if another device has its number, ENOMEM, and what the driver throws. */
  init(): void {
    const { vdevices, ops } = this.viommu;
    if (vdevices.has(this.virtId)) {
      throw EEXIST.because("the vIOMMU has another device of that number");
    }
    const index = Number(this.virtId);
    this.ctx.kernel.allocNodes(
      () =>
        XarrayNodes.of(Array.from(vdevices.keys(), Number), {
          rootHoldsEntry: false,
        }),
      index,
      index,
    );
    this.#undo = ops.vdeviceInit?.(this);
    vdevices.set(this.virtId, this);
    this.viommu.virtIds.set(this.dev, this.virtId);
  }

  /** Linux: iommufd_vdevice_destroy, and iommufd_vdevice_abort. */
  override destroy(): void {
    const { viommu } = this;
    this.#undo?.();
    if (viommu.vdevices.get(this.virtId) === this) {
      viommu.vdevices.delete(this.virtId);
      viommu.virtIds.delete(this.dev);
    }
    viommu.unref();
    this.#idev.vdevice = undefined;
    this.#idev.put();
  }
}

/**
 * IOMMU_VDEVICE_ALLOC. Throws ENOENT without such a vIOMMU or device, and for a
 * device that is being destroyed; EINVAL for a device behind another IOMMU;
 * EEXIST for one that has a vDEVICE, and if the number is taken; ENOMEM, what
 * the driver throws, EFAULT. (Linux: iommufd_vdevice_alloc_ioctl.)
 */
export function vdeviceAlloc(ucmd: Ucmd<IommuVdeviceAlloc>): void {
  const { ctx, cmd } = ucmd;
  ctx.objects.get(cmd.viommuId, IommufdViommu).putAfter((viommu) => {
    ctx.objects.get(cmd.devId, IommufdDevice).putAfter((idev) => {
      viommu.checkNesting(idev);
      if (idev.destroying) {
        throw ENOENT.because("the device is being destroyed");
      }
      if (idev.vdevice !== undefined) {
        throw EEXIST.because("the device has a vDEVICE already");
      }
      const vdevice = new IommufdVdevice(viommu, idev, cmd.virtId);
      ucmd.newObject = vdevice;
      vdevice.init();
      cmd.outVdeviceId = vdevice.id;
      ucmd.respond();
    });
  });
}
