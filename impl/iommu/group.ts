// SPDX-License-Identifier: GPL-2.0-only

/**
 * Groups: the smallest sets of devices that the IOMMU can isolate.
 *
 * @module
 */

import { EBUSY } from "../uapi/errno.ts";
import { KernelBug } from "../kernel/warn.ts";
import type { Device } from "./device.ts";
import type { Domain } from "./domain.ts";
import type { Iommu } from "./iommu.ts";

/** The PASID slot of DMA that carries no PASID. */
export const IOMMU_NO_PASID = 0;

/**
 * What a user of attachGroupHandle() wants to find again when the device
 * reports something (Linux: struct iommu_attach_handle). Extend it.
 */
export class AttachHandle {
  /** The attached domain; set by the attachment. */
  domain: Domain | null = null;
}

/** A group of devices (Linux: struct iommu_group). All of its devices use the same domain. */
export class Group {
  /** The IOMMU core that it belongs to. */
  readonly iommu: Iommu;
  /** Its number, as under /sys/kernel/iommu_groups. */
  readonly id: number;
  /** Its devices, oldest first. */
  readonly devices: Device[] = [];
  /** What it uses while the kernel's own drivers have it. */
  defaultDomain: Domain | null = null;
  /** What it uses while it has an owner that attached nothing. */
  blockingDomain: Domain | null = null;
  /** What it uses now; null only before its first device is set up. */
  domain: Domain | null = null;
  /** Who controls its DMA; null for the kernel's DMA API. */
  owner: object | null = null;
  /** Claims of ownership, or kernel drivers that use the DMA API when {@link owner} is null. */
  ownerCnt = 0;
  /** Resets of its devices that are under way: nothing can be attached meanwhile (Linux: recovery_cnt). */
  resets = 0;
  /** The handles of what is attached, by PASID (Linux: pasid_array). */
  readonly pasidArray: Map<number, AttachHandle> = new Map();
  #refs = 1;

  /** Called by `Iommu.allocGroup()` only. */
  constructor(iommu: Iommu, id: number) {
    this.iommu = iommu;
    this.id = id;
  }

  /** The device that stands for all where one is enough (Linux: iommu_group_first_dev). */
  get firstDevice(): Device {
    const dev = this.devices[0];
    if (dev === undefined) {
      throw new KernelBug(`IOMMU group ${this.id} has no devices`);
    }
    return dev;
  }

  /** Throws EBUSY while a device of it is reset. */
  checkNoReset(): void {
    if (this.resets > 0) {
      throw EBUSY.because("a device of the group is being reset");
    }
  }

  /** Takes a reference (Linux: iommu_group_ref_get). */
  get(): this {
    if (this.#refs === 0) {
      throw new KernelBug(`IOMMU group ${this.id} was released`);
    }
    this.#refs++;
    return this;
  }

  /** Drops a reference; the last one gives the number back (Linux: iommu_group_put). */
  put(): void {
    if (this.#refs === 0) {
      throw new KernelBug(`IOMMU group ${this.id} was released`);
    }
    if (--this.#refs > 0) return;
    const { warnings } = this.iommu.kernel;
    warnings.on(
      this.defaultDomain !== null || this.blockingDomain !== null,
      `IOMMU group ${this.id} is released with a domain`,
    );
    this.iommu.groups.erase(this.id);
  }
}
