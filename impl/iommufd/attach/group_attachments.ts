// SPDX-License-Identifier: GPL-2.0-only

/**
 * Attachments that are kept with each group: all its devices use the same
 * HWPT. The first that attaches decides, the last that detaches frees it. The
 * domain holds the map of its IOAS as soon as there is the HWPT.
 *
 * Linux: iommufd_hw_pagetable_attach, iommufd_hw_pagetable_detach,
 * iommufd_device_do_replace and iommufd_group_setup_msi of device.c.
 *
 * @module
 */

import type { Device } from "../../iommu/device.ts";
import type { Group } from "../../iommu/group.ts";
import { groupHasIsolatedMsi } from "../../iommu/msi.ts";
import { getResvRegions } from "../../iommu/resv.ts";
import { KernelBug } from "../../kernel/warn.ts";
import { isMockDevice } from "../../mock/mock_device.ts";
import { EINVAL, EPERM } from "../../uapi/errno.ts";
import {
  hwptAttachDevice,
  hwptDetachDevice,
  hwptReplaceDevice,
} from "../events/fault_attach.ts";
import { type HwPagetable, HwptPaging } from "../hwpt/hw_pagetable.ts";
import { enforceResvRegions } from "../ioas/reserved.ts";
import type { Ioas } from "../ioas/ioas.ts";
import type { IommufdOptions } from "../kernel.ts";
import type { Attachments, AttachStrategy, Change } from "./attachments.ts";
import type { IommufdDevice } from "./device.ts";

/** The strategy of one kernel. */
export class AttachPerGroup implements AttachStrategy {
  readonly #options: IommufdOptions;

  /** For a kernel with options that may change. */
  constructor(options: IommufdOptions) {
    this.#options = options;
  }

  /** Nothing is attached yet. */
  attachmentsOf(): Attachments {
    return new GroupAttachments();
  }

  /** The mock's devices raise no interrupts. */
  checkBind(dev: Device, group: Group): void {
    if (
      !isMockDevice(dev) && !groupHasIsolatedMsi(group) &&
      !this.#options.allowUnsafeInterrupts
    ) throw EPERM.because("the device's interrupts are not isolated");
  }

  /** A new device is attached before the domain is filled, an attached one moves after that. */
  changeToNew(ioas: Ioas, idev: IommufdDevice, change: Change) {
    if (change.isAttach) {
      const attach = (hwpt: HwptPaging) => {
        change.to(hwpt);
        return () => idev.igroup.attachments.detach(idev).unref();
      };
      return { hwpt: HwptPaging.alloc(ioas, idev, { attach }), old: undefined };
    }
    const hwpt = HwptPaging.alloc(ioas, idev, {});
    const old = idev.ctx.objects.orDestroy(hwpt, () => change.to(hwpt));
    return { hwpt, old };
  }
}

/** What the devices of a group are attached to. */
class GroupAttachments implements Attachments {
  readonly #devices: Set<IommufdDevice> = new Set();
  #hwpt: HwPagetable | undefined;
  /** Start of the software MSI window of its devices. */
  #swMsiStart: bigint | undefined;

  /** Whether no device is attached. */
  get isEmpty(): boolean {
    return this.#hwpt === undefined && this.#devices.size === 0;
  }

  /** All devices use one HWPT: another is EINVAL. (Linux: iommufd_hw_pagetable_attach.) */
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

  /** Linux: iommufd_hw_pagetable_detach. */
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

  /** Moves the whole group (Linux: iommufd_device_do_replace). */
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
