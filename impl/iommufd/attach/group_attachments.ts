// SPDX-License-Identifier: GPL-2.0-only

/**
 * Attachments that are kept with each group: all its devices use the same
 * HWPT. The first that attaches decides, the last that detaches frees it. The
 * domain holds the map of its IOAS as soon as there is the HWPT.
 *
 * Linux: iommufd_hw_pagetable_attach, iommufd_hw_pagetable_detach and
 * iommufd_device_do_replace of device.c.
 *
 * @module
 */

import type { Device } from "../../iommu/device.ts";
import { type Group, IOMMU_NO_PASID } from "../../iommu/group.ts";
import { groupHasIsolatedMsi } from "../../iommu/msi.ts";
import type { KernelCore } from "../../kernel/core.ts";
import { KernelBug } from "../../kernel/warn.ts";
import { XarrayNodes } from "../../lib/xarray_nodes.ts";
import { isMockDevice } from "../../mock/mock_device.ts";
import { EINVAL, EPERM } from "../../uapi/errno.ts";
import { CORE_LINK, type HwptLink } from "../events/fault_attach.ts";
import { type HwPagetable, HwptPaging } from "../hwpt/hw_pagetable.ts";
import { enforceResvRegions } from "../ioas/reserved.ts";
import type { Ioas } from "../ioas/ioas.ts";
import type { IommufdKernel } from "../kernel.ts";
import type {
  Attachment,
  Attachments,
  AttachStrategy,
  Change,
} from "./attachments.ts";
import type { IommufdDevice } from "./device.ts";
import type { GroupMsi } from "./sw_msi.ts";

const NOT_FOR_PASIDS = EINVAL.because(
  "the HWPT was not allocated for PASIDs",
);

/** The strategy of one kernel. */
export class AttachPerGroup implements AttachStrategy {
  readonly #kernel: IommufdKernel;

  /** For a kernel with options that may change. */
  constructor(kernel: IommufdKernel) {
    this.#kernel = kernel;
  }

  /** Nothing is attached yet. */
  attachmentsOf(_group: Group, msi: GroupMsi): Attachments {
    return new GroupAttachments(this.#kernel, msi, CORE_LINK);
  }

  /** The mock's devices raise no interrupts. */
  checkBind(dev: Device, group: Group): void {
    if (
      !isMockDevice(dev) && !groupHasIsolatedMsi(group) &&
      !this.#kernel.options.allowUnsafeInterrupts
    ) {
      throw EPERM.because(
        "the device's interrupts are not isolated (Device.hasIsolatedMsi)",
      );
    }
  }

  /** A new device is attached before the domain is filled, an attached one moves after that. */
  changeToNew(ioas: Ioas, idev: IommufdDevice, change: Change) {
    const { undo } = change;
    if (undo !== undefined) {
      const attach = (hwpt: HwptPaging) => {
        change.to(hwpt);
        return undo;
      };
      return { hwpt: HwptPaging.alloc(ioas, idev, { attach }), old: undefined };
    }
    const hwpt = HwptPaging.alloc(ioas, idev, {});
    const old = idev.ctx.objects.orDestroy(hwpt, () => change.to(hwpt));
    return { hwpt, old };
  }
}

/** What the devices of a group are attached to for one PASID (Linux: struct iommufd_attach). */
interface GroupAttachment extends Attachment {
  hwpt: HwPagetable;
  readonly devices: Set<IommufdDevice>;
}

/** What the devices of a group are attached to (Linux: pasid_attach of struct iommufd_group). */
export class GroupAttachments implements Attachments {
  readonly #byPasid: Map<number, GroupAttachment> = new Map();
  readonly #kernel: KernelCore;
  readonly #msi: GroupMsi;
  readonly #link: HwptLink;

  /** For a group that attaches in some way. */
  constructor(kernel: KernelCore, msi: GroupMsi, link: HwptLink) {
    this.#kernel = kernel;
    this.#msi = msi;
    this.#link = link;
  }

  /** Whether no device is attached. */
  get isEmpty(): boolean {
    return this.#byPasid.size === 0;
  }

  /** One for each PASID. */
  [Symbol.iterator](): Iterator<Attachment> {
    return this.#byPasid.values();
  }

  /** All devices use one HWPT for a PASID: another is EINVAL. (Linux: iommufd_hw_pagetable_attach.) */
  attach(idev: IommufdDevice, hwpt: HwPagetable, pasid: number): void {
    const present = this.#byPasid.get(pasid);
    this.#allocate(idev, pasid);
    if (present?.devices.has(idev)) {
      const { attachTwiceErrno } = this.#kernel.revision.attach;
      throw attachTwiceErrno.because("the device is attached already");
    }
    if (present !== undefined && present.hwpt !== hwpt) {
      throw EINVAL.because("the group of the device is attached elsewhere");
    }
    const { paging } = hwpt;
    using undo = new DisposableStack();
    // What a device reserves does not depend on the PASID.
    if (pasid === IOMMU_NO_PASID) {
      this.#reserve(idev, paging, { wantSwMsi: true });
      undo.defer(() => paging.ioas.iopt.removeReservedIova(idev.dev));
    }
    if (present === undefined) {
      if (pasid === IOMMU_NO_PASID) this.#msi.setUp(paging);
      this.#checkPasid(hwpt, pasid);
      this.#link.attach(hwpt, idev, pasid);
      this.#byPasid.set(pasid, { pasid, hwpt, devices: new Set([idev]) });
    } else {
      present.devices.add(idev);
    }
    undo.move();
    hwpt.ref();
  }

  /** Linux: iommufd_hw_pagetable_detach. */
  detach(idev: IommufdDevice, pasid: number): HwPagetable | undefined {
    const present = this.#byPasid.get(pasid);
    if (present === undefined || !present.devices.delete(idev)) {
      if (this.#kernel.revision.attach.detachesNothing) return undefined;
      throw new KernelBug(`Device ${idev.dev.name} is not attached`);
    }
    const { hwpt, devices } = present;
    if (devices.size === 0) {
      this.#link.detach(hwpt, idev, pasid);
      this.#byPasid.delete(pasid);
    }
    if (pasid === IOMMU_NO_PASID) {
      hwpt.paging.ioas.iopt.removeReservedIova(idev.dev);
    }
    return hwpt;
  }

  /** Moves the whole group (Linux: iommufd_device_do_replace). */
  replace(
    idev: IommufdDevice,
    hwpt: HwPagetable,
    pasid: number,
  ): HwPagetable | undefined {
    const present = this.#byPasid.get(pasid);
    if (present === undefined || !present.devices.has(idev)) {
      throw EINVAL.because("the device is not attached");
    }
    const { hwpt: old, devices } = present;
    if (old === hwpt) return undefined;

    const isRid = pasid === IOMMU_NO_PASID;
    const moves = isRid && hwpt.paging.ioas !== old.paging.ioas;
    try {
      if (moves) {
        for (const cur of devices) {
          this.#reserve(cur, hwpt.paging, { wantSwMsi: false });
        }
      }
      if (isRid) this.#msi.setUp(hwpt.paging);
      this.#checkPasid(hwpt, pasid);
      this.#link.replace(idev, hwpt, old, pasid);
    } catch (error) {
      // Linux also gives up what the group holds in an IOAS that stays.
      if (moves) unreserve(devices, hwpt.paging);
      throw error;
    }
    if (moves) unreserve(devices, old.paging);
    present.hwpt = hwpt;
    for (const _ of devices) hwpt.ref();
    for (let n = devices.size; n > 1; n--) old.unref();
    return old;
  }

  /** Throws EINVAL if one of PASIDs and DMA without PASID would use a HWPT that was not allocated for PASIDs. (Linux: iommufd_hwpt_pasid_compat.) */
  #checkPasid(hwpt: HwPagetable, pasid: number): void {
    const rid = this.#byPasid.get(IOMMU_NO_PASID);
    const pasids = this.#byPasid.size - (rid === undefined ? 0 : 1);
    if (pasid === IOMMU_NO_PASID && pasids === 0) return;
    if (!hwpt.pasidCompat) throw NOT_FOR_PASIDS;
    if (rid?.hwpt.pasidCompat === false) {
      throw EINVAL.because("its HWPT without PASID was not allocated for any");
    }
  }

  /** What Linux allocates to remember an attachment, before it looks at it. */
  #allocate({ id }: IommufdDevice, pasid: number): void {
    if (!this.#kernel.revision.attach.allocatesByPasid) return;
    const present = this.#byPasid.get(pasid);
    if (present === undefined) {
      this.#allocNodes(() => this.#byPasid.keys(), pasid);
      this.#kernel.step("attach.alloc");
    }
    const devices = present?.devices ?? [];
    this.#allocNodes(() => [...devices].map((idev) => idev.id), id);
  }

  #allocNodes(held: () => Iterable<number>, index: number): void {
    const options = { rootHoldsEntry: false };
    const nodes = () => XarrayNodes.of(held(), options);
    this.#kernel.allocNodes(nodes, index, index);
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
      idev.iommuOps.resvRegions?.(idev.dev) ?? [],
      options,
    );
    if (start !== undefined) this.#msi.start = start;
  }
}

/** Gives up what devices reserve in an IOAS (Linux: iommufd_group_remove_reserved_iova). */
function unreserve(
  devices: Iterable<IommufdDevice>,
  { ioas }: HwptPaging,
): void {
  for (const { dev } of devices) ioas.iopt.removeReservedIova(dev);
}
