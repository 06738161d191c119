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
import { EINVAL, ENOSPC } from "../uapi/errno.ts";
import { vfioCompatIoasGetId } from "../iommufd/vfio_compat/compat_ioas.ts";
import type { VfioGroup } from "./group.ts";
import { VfioPciDevice } from "./pci/pci_device.ts";

/** The highest number that an IDA gives. */
const MOST_PASID = 2 ** 31 - 1;

/** One device. */
export class VfioDevice {
  /** Its group. */
  readonly group: VfioGroup;
  /** The number in the name of its file. */
  readonly index: number;
  /** The PCI device. */
  readonly core: VfioPciDevice;
  /** Files of it that are open, bound or not: the kernel does not take it away meanwhile (Linux: refcount). */
  files = 0;
  /** How often it is open. */
  #opened = 0;
  /** What iommufd calls it while it is bound. */
  #idev: IommufdDevice | undefined;
  /** It is attached without PASID by ATTACH (Linux: iommufd_attached). */
  #attached = false;
  /** What it is attached for by ATTACH with a PASID, IOMMU_NO_PASID too (Linux: iommufd_device.pasids). */
  readonly #pasids: Set<number> = new Set();

  /** A device that nobody has open. */
  constructor(
    index: number,
    pci: PciFunction,
    group: VfioGroup,
    physFn: VfioDevice | undefined,
  ) {
    this.group = group;
    this.index = index;
    this.core = new VfioPciDevice(pci, physFn?.core);
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
   * Opens it for a descriptor of its own: it is bound to an iommufd. Returns
   * its id there. Throws EINVAL if it is open, and what binding throws.
   * (Linux: vfio_df_open.)
   */
  openAlone(ctx: IommufdCtx): number {
    if (this.#opened > 0) {
      throw EINVAL.because("the device is bound through another descriptor");
    }
    this.#openFirst(ctx);
    this.#opened++;
    return this.#idev!.id;
  }

  /**
   * Opens it for its group, once more if it is open. The first time it is
   * bound to the iommufd of the group and attached there, if that has one:
   * throws what these throw. (Linux: vfio_df_group_open.)
   */
  openInGroup(ctx: IommufdCtx | undefined): void {
    if (this.#opened === 0) {
      this.#openFirst(ctx);
      try {
        if (ctx !== undefined) this.attach(vfioCompatIoasGetId(ctx));
      } catch (error) {
        this.#closeLast();
        throw error;
      }
    }
    this.#opened++;
  }

  /** The opposite of an open; with the last one it is detached and unbound (Linux: vfio_df_close). */
  close(): void {
    if (--this.#opened === 0) this.#closeLast();
  }

  /**
   * The kernel wants it back: its user is asked, who may let it go. Returns
   * whether there is a user who listens. (Linux: vfio_pci_core_request.)
   */
  request(): boolean {
    return this.core.isOpen && this.core.irqs.signalRequest();
  }

  #openFirst(ctx: IommufdCtx | undefined): void {
    if (ctx !== undefined) {
      this.#idev = IommufdDevice.bindDevice(ctx, this.pci);
    }
    this.core.enable();
  }

  #closeLast(): void {
    this.core.disable();
    for (const pasid of [...this.#pasids]) this.detachPasid(pasid);
    this.detach();
    this.#idev?.unbind();
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
    if (pasid > MOST_PASID) {
      throw ENOSPC.because("a PASID is at most 2^31 - 1");
    }
    const id = idev.attach(ptId, pasid);
    this.#pasids.add(pasid);
    return id;
  }

  /** Detaches a PASID, if it is attached. */
  detachPasid(pasid: number): void {
    if (this.#pasids.delete(pasid)) this.#idev!.detach(pasid);
  }
}
