// SPDX-License-Identifier: GPL-2.0-only

/**
 * How devices attach: a strategy that is chosen when the kernel boots. There is
 * one that keeps attachments with each HWPT, as the first iommufd did, and one
 * that keeps them with each group.
 *
 * @module
 */

import type { Device } from "../../iommu/device.ts";
import type { Group } from "../../iommu/group.ts";
import type { HwPagetable, HwptPaging } from "../hwpt/hw_pagetable.ts";
import type { Ioas } from "../ioas/ioas.ts";
import type { IommufdDevice } from "./device.ts";
import type { GroupMsi } from "./sw_msi.ts";

/** Devices of a group that are attached to a HWPT. */
export interface Attachment {
  /** The PASID of the DMA that it is for; IOMMU_NO_PASID for DMA without one. */
  readonly pasid: number;
  /** The HWPT. */
  readonly hwpt: HwPagetable;
  /** The devices. */
  readonly devices: ReadonlySet<IommufdDevice>;
}

/**
 * What the devices of an IOMMU group in a context are attached to, for each
 * PASID of their DMA. DMA without PASID is IOMMU_NO_PASID, one like others.
 */
export interface Attachments extends Iterable<Attachment> {
  /** Whether none of them is attached. */
  readonly isEmpty: boolean;

  /**
   * Attaches a device; the HWPT gains a user. Throws EBUSY when the device is
   * attached already, EINVAL when the HWPT does not fit the device and another
   * one may, EADDRINUSE when the IOAS maps what the device reserves, ENOMEM,
   * and what the driver throws.
   */
  attach(
    idev: IommufdDevice,
    hwpt: HwPagetable,
    pasid: number,
    flags: number,
  ): void;

  /**
   * Detaches a device; returns the HWPT, whose user the caller gives up, or
   * undefined if it is not attached and the revision accepts that.
   */
  detach(idev: IommufdDevice, pasid: number): HwPagetable | undefined;

  /**
   * Moves a device, and whoever shares its HWPT, to another one. Returns the
   * old one, whose last user the caller gives up; undefined when it is the
   * same. Throws EINVAL when the device is not attached, otherwise as
   * {@link attach}; nothing has changed then.
   */
  replace(
    idev: IommufdDevice,
    hwpt: HwPagetable,
    pasid: number,
  ): HwPagetable | undefined;
}

/** How a device changes what it is attached to. */
export interface Change {
  /** Changes to a HWPT; returns the one before, to be given up. Throws EINVAL if another HWPT may fit. */
  to(hwpt: HwPagetable): HwPagetable | undefined;
  /** Takes it back, if the device was not attached before. */
  readonly undo?: () => void;
}

/** The strategy. */
export interface AttachStrategy {
  /** The attachments of a group that a context begins to use. */
  attachmentsOf(group: Group, msi: GroupMsi): Attachments;

  /** Throws EPERM if a device must not be bound, because its interrupts are not isolated. */
  checkBind(dev: Device, group: Group): void;

  /**
   * Makes a HWPT of an IOAS for a device and changes to it. The caller
   * publishes it. If it throws nothing has changed.
   */
  changeToNew(
    ioas: Ioas,
    idev: IommufdDevice,
    change: Change,
  ): { readonly hwpt: HwptPaging; readonly old: HwPagetable | undefined };
}
