// SPDX-License-Identifier: GPL-2.0-only

/**
 * The driver of simple_iommu.ts for hardware of which a virtual machine can
 * have a part. The machine's own IOMMU driver writes tables for its devices;
 * what it tells its IOMMU goes to the hardware by the numbers that the machine
 * has for them, and what the hardware tells comes back with those numbers.
 *
 * The test beside this file plays the machine's monitor and its devices.
 *
 * @module
 */

import {
  copyStructFromUserArray,
  type Device,
  type DmaFault,
  type Domain,
  EINVAL,
  EOPNOTSUPP,
  Errno,
  IOMMU_NO_PASID,
  type Struct,
  struct,
  u64,
  type UserData,
  type UserDataArray,
  type Viommu,
  type ViommuOps,
} from "@iommufd/kit";
import {
  readStage1,
  SIMPLE_IOMMU,
  SimpleDevice,
  SimpleDomain,
  SimpleIommu,
  SimpleNestedDomain,
  type SimpleStage1,
} from "./simple_iommu.ts";

/**
 * An address as a device of the machine uses it: what an invalidation names,
 * and what an event says where DMA was blocked.
 */
export interface GuestAddress {
  /** What the machine calls the device. */
  virtId: bigint;
  /** The address. */
  addr: bigint;
}

/** Layout of {@link GuestAddress}. */
export const GuestAddress: Struct<GuestAddress> = struct("guest_address", {
  virtId: u64(),
  addr: u64(),
});

/** The driver. Virtual IOMMUs, their data, requests and events are of type SIMPLE_IOMMU. */
export class GuestIommu extends SimpleIommu {
  hasViommu(_dev: Device, type: number): boolean {
    return type === SIMPLE_IOMMU;
  }

  viommuInit(viommu: Viommu, userData: UserData | undefined): ViommuOps {
    if (userData !== undefined) throw EOPNOTSUPP;
    return new GuestViommu(viommu);
  }
}

/** The part of the hardware that one machine has. */
class GuestViommu implements ViommuOps {
  readonly #viommu: Viommu;

  constructor(viommu: Viommu) {
    this.#viommu = viommu;
  }

  /** A table that the machine's own driver writes. */
  domainAllocNested(flags: number, userData: UserData): Domain {
    const { parent } = this.#viommu;
    if (flags !== 0) throw EOPNOTSUPP;
    if (!(parent instanceof SimpleDomain)) throw EINVAL;
    return new GuestDomain(this.#viommu, parent, readStage1(userData));
  }

  /** The machine changed what some of its devices use. */
  cacheInvalidate(array: UserDataArray): void {
    if (array.type !== SIMPLE_IOMMU) throw EINVAL;
    for (let i = 0; i < array.entryNum; i++) {
      const { virtId, addr } = copyStructFromUserArray(
        GuestAddress,
        array,
        SIMPLE_IOMMU,
        i,
        "addr",
      );
      const dev = this.#viommu.findDevice(virtId);
      if (!(dev instanceof SimpleDevice)) throw EINVAL;
      const translation = dev.translation(IOMMU_NO_PASID);
      if (translation instanceof GuestDomain) translation.forget(addr);
      array.handled++;
    }
  }
}

/** A machine's table, for the devices that it has a number for. */
class GuestDomain extends SimpleNestedDomain {
  readonly #viommu: Viommu;

  constructor(viommu: Viommu, parent: SimpleDomain, data: SimpleStage1) {
    super(parent, data);
    this.#viommu = viommu;
  }

  override attachDev(dev: Device, old: Domain | null): void {
    // ENOENT for a device without a number: its faults could not be told.
    this.#viommu.virtIdOf(dev);
    super.attachDev(dev, old);
  }

  /** Tells the machine, if it wants to know. */
  override blocked(dev: Device, { iova }: DmaFault): void {
    const virtId = this.#viommu.virtIdOf(dev);
    const event = GuestAddress.encode({ virtId, addr: iova });
    try {
      this.#viommu.reportEvent(SIMPLE_IOMMU, event);
    } catch (error) {
      // There is no queue for such events, or no memory for one more.
      if (!(error instanceof Errno)) throw error;
    }
  }
}
