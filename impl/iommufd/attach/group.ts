// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a context knows about an IOMMU group: which of its devices are
 * attached, and to what. All devices of a group use the same HWPT; the first
 * that attaches decides, the last that detaches frees it.
 *
 * Linux: struct iommufd_group of iommufd_private.h and its functions in
 * device.c.
 *
 * @module
 */

import type { Device } from "../../iommu/device.ts";
import type { Group } from "../../iommu/group.ts";
import { getResvRegions } from "../../iommu/resv.ts";
import { KernelBug } from "../../kernel/warn.ts";
import { XarrayNodes } from "../../lib/xarray_nodes.ts";
import { EINVAL, ENODEV } from "../../uapi/errno.ts";
import type { IommufdDevice } from "./device.ts";
import {
  hwptAttachDevice,
  hwptDetachDevice,
  hwptReplaceDevice,
} from "../events/fault_attach.ts";
import type { HwPagetable, HwptPaging } from "../hwpt/hw_pagetable.ts";
import type { IommufdCtx } from "../main.ts";
import { enforceResvRegions } from "../ioas/reserved.ts";

/** An IOMMU group in a context. Where devices are kept per HWPT it only holds the IOMMU group. */
export class IommufdGroup {
  /** The IOMMU group. */
  readonly group: Group;
  readonly #ctx: IommufdCtx;
  readonly #devices: Set<IommufdDevice> = new Set();
  #hwpt: HwPagetable | undefined;
  /** Start of the software MSI window of its devices. */
  #swMsiStart: bigint | undefined;
  #refs = 1;

  private constructor(ctx: IommufdCtx, group: Group) {
    this.#ctx = ctx;
    this.group = group.get();
  }

  /**
   * The device's group in a context, with a reference. Throws ENODEV for a
   * device without group, ENOMEM. (Linux: iommufd_get_group.)
   */
  static get(ctx: IommufdCtx, dev: Device): IommufdGroup {
    const { group } = dev;
    if (group === null) throw ENODEV.because("the device has no IOMMU group");
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
      this.#hwpt !== undefined || this.#devices.size > 0,
      `iommufd: group ${this.group.id} is released while attached`,
    );
    this.#ctx.groups.delete(this.group);
    this.group.put();
  }

  /**
   * Attaches a device of the group; the HWPT gains a user. Throws EINVAL when
   * the group uses another HWPT or the domain does not fit the device,
   * EADDRINUSE when the IOAS maps what the device reserves, ENOMEM, and what
   * the driver throws. (Linux: iommufd_hw_pagetable_attach.)
   */
  attach(idev: IommufdDevice, hwpt: HwPagetable): void {
    if (this.#hwpt !== undefined && this.#hwpt !== hwpt) {
      throw EINVAL.because("the group of the device is attached elsewhere");
    }
    const { paging } = hwpt;
    const first = this.#devices.size === 0;
    this.#reserve(idev, paging, { wantSwMsi: true });
    try {
      if (first) {
        this.#setupMsi(paging);
        hwptAttachDevice(hwpt, idev);
        this.#hwpt = hwpt;
      }
    } catch (error) {
      paging.ioas.iopt.removeReservedIova(idev.dev);
      throw error;
    }
    hwpt.ref();
    this.#devices.add(idev);
  }

  /** Detaches a device; returns the HWPT, whose user the caller gives up (Linux: iommufd_hw_pagetable_detach). */
  detach(idev: IommufdDevice): HwPagetable {
    const hwpt = this.#hwpt;
    if (hwpt === undefined || !this.#devices.delete(idev)) {
      throw new KernelBug(`Device ${idev.dev.name} is not attached`);
    }
    if (this.#devices.size === 0) {
      hwptDetachDevice(hwpt, idev);
      this.#hwpt = undefined;
    }
    hwpt.paging.ioas.iopt.removeReservedIova(idev.dev);
    return hwpt;
  }

  /**
   * Moves the whole group to another HWPT. Returns the old one, whose last
   * user of the group the caller gives up; undefined when it is the same.
   * Throws EINVAL when the device is not attached, otherwise as
   * {@link attach}; nothing has changed then. (Linux: iommufd_device_do_replace.)
   */
  replace(idev: IommufdDevice, hwpt: HwPagetable): HwPagetable | undefined {
    const old = this.#hwpt;
    if (old === undefined || !this.#devices.has(idev)) {
      throw EINVAL.because("the device is not attached");
    }
    if (old === hwpt) return undefined;

    const sameIoas = hwpt.paging.ioas === old.paging.ioas;
    try {
      if (!sameIoas) {
        for (const cur of this.#devices) {
          this.#reserve(cur, hwpt.paging, { wantSwMsi: false });
        }
      }
      this.#setupMsi(hwpt.paging);
      hwptReplaceDevice(idev, hwpt, old);
    } catch (error) {
      // Linux also gives up what the group holds in an IOAS that stays.
      if (!sameIoas) this.#unreserve(hwpt.paging);
      throw error;
    }
    if (!sameIoas) this.#unreserve(old.paging);
    this.#hwpt = hwpt;
    for (const _ of this.#devices) hwpt.ref();
    for (let n = this.#devices.size; n > 1; n--) old.unref();
    return old;
  }

  /** Reserves what one device cannot translate. */
  #reserve(
    idev: IommufdDevice,
    paging: HwptPaging,
    options: { readonly wantSwMsi: boolean },
  ): void {
    const start = enforceResvRegions(
      paging.ioas.iopt,
      idev.dev,
      getResvRegions(idev.dev),
      options,
    );
    if (start !== undefined) this.#swMsiStart = start;
  }

  #unreserve(paging: HwptPaging): void {
    for (const { dev } of this.#devices) {
      paging.ioas.iopt.removeReservedIova(dev);
    }
  }

  /** Gives the domain its MSI window, once, if the driver wants one (Linux: iommufd_group_setup_msi). */
  #setupMsi(paging: HwptPaging): void {
    if (this.#swMsiStart === undefined || paging.msiCookie) return;
    paging.domain.getMsiCookie(this.#swMsiStart);
    paging.msiCookie = true;
  }
}
