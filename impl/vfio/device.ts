// SPDX-License-Identifier: GPL-2.0-only

/**
 * A device as VFIO has it: who has it open, and how it is bound to an iommufd.
 *
 * Linux: struct vfio_device, drivers/vfio/vfio_main.c and iommufd.c.
 *
 * @module
 */

import type { IommufdCtx } from "../iommufd/main.ts";
import { IommufdDevice } from "../iommufd/attach/device.ts";
import type { PciFunction } from "../pci/function.ts";
import { EINVAL } from "../uapi/errno.ts";
import { VfioPciDevice } from "./pci_device.ts";

/** One device. */
export class VfioDevice {
  /** The number in the name of its file. */
  readonly index: number;
  /** The PCI device. */
  readonly core: VfioPciDevice;
  /** What iommufd calls it while it is bound. */
  #idev: IommufdDevice | undefined;
  /** It is attached without PASID by ATTACH (Linux: iommufd_attached). */
  #attached = false;
  /** What it is attached for by ATTACH with a PASID, IOMMU_NO_PASID too (Linux: iommufd_device.pasids). */
  readonly #pasids: Set<number> = new Set();

  /** A device that nobody has open. */
  constructor(index: number, pci: PciFunction) {
    this.index = index;
    this.core = new VfioPciDevice(pci);
  }

  /** The PCI device. */
  get pci(): PciFunction {
    return this.core.pci;
  }

  /** What iommufd calls it; undefined while it is not bound. */
  get idev(): IommufdDevice | undefined {
    return this.#idev;
  }

  /**
   * Binds it to an iommufd and opens it; returns its id there. Throws EINVAL
   * if it is open, and what binding throws. (Linux: vfio_df_open,
   * vfio_df_device_first_open.)
   */
  open(ctx: IommufdCtx): number {
    if (this.core.isOpen) {
      throw EINVAL.because("the device is bound through another descriptor");
    }
    this.#idev = IommufdDevice.bindDevice(ctx, this.pci);
    this.core.enable();
    return this.#idev.id;
  }

  /** The opposite of {@link open}: it is detached first (Linux: vfio_df_close). */
  close(): void {
    this.core.disable();
    for (const pasid of [...this.#pasids]) this.detachPasid(pasid);
    this.detach();
    this.#idev!.unbind();
    this.#idev = undefined;
  }

  /** Attaches it to an IOAS or a HWPT, or to another one; returns the HWPT. Throws as `IommufdDevice`. (Linux: vfio_iommufd_physical_attach_ioas.) */
  attach(ptId: number): number {
    const idev = this.#idev!;
    const id = this.#attached ? idev.replace(ptId) : idev.attach(ptId);
    this.#attached = true;
    return id;
  }

  /** Detaches it, if it is attached. */
  detach(): void {
    if (!this.#attached) return;
    this.#idev!.detach();
    this.#attached = false;
  }

  /** The same as {@link attach} for DMA with a PASID (Linux: vfio_iommufd_physical_pasid_attach_ioas). */
  attachPasid(pasid: number, ptId: number): number {
    const idev = this.#idev!;
    if (this.#pasids.has(pasid)) return idev.replace(ptId, pasid);
    const id = idev.attach(ptId, pasid);
    this.#pasids.add(pasid);
    return id;
  }

  /** Detaches a PASID, if it is attached. */
  detachPasid(pasid: number): void {
    if (this.#pasids.delete(pasid)) this.#idev!.detach(pasid);
  }
}
