// SPDX-License-Identifier: GPL-2.0-only

/**
 * Queues for the page faults of devices; a driver has one for each IOMMU.
 *
 * @module
 */

import { EBUSY, ENODEV } from "../uapi/errno.ts";
import type { Device } from "./device.ts";
import {
  IOMMU_PAGE_RESP_INVALID,
  type IopfGroup,
  type PageRequest,
} from "./page_fault.ts";

/** The page faults of one device in a queue (Linux: struct iommu_fault_param). */
export class FaultParam {
  /** The device. */
  readonly dev: Device;
  /** The queue. */
  readonly queue: IopfQueue;
  /** Complete groups that are neither answered nor dequeued, oldest first. */
  readonly pending: Set<IopfGroup> = new Set();
  /** Requests whose group is not complete, oldest first. */
  partial: PageRequest[] = [];

  /** Called by {@link IopfQueue.addDevice} only. */
  constructor(queue: IopfQueue, dev: Device) {
    this.queue = queue;
    this.dev = dev;
  }

  /** Removes and returns the requests of a group, oldest first. */
  takePartial(grpid: number): PageRequest[] {
    const taken: PageRequest[] = [];
    const left: PageRequest[] = [];
    for (const request of this.partial) {
      (request.grpid === grpid ? taken : left).push(request);
    }
    this.partial = left;
    return taken;
  }
}

/**
 * The devices of an IOMMU that may fault (Linux: struct iopf_queue). A driver
 * adds a device when its "iopf" feature is switched on and removes it when it
 * is switched off.
 */
export class IopfQueue {
  readonly #devices = new Set<FaultParam>();

  /**
   * From now on the device's faults can be reported. Throws ENODEV if the
   * driver cannot answer, EBUSY if the device is in a queue, ENOMEM.
   * (Linux: iopf_queue_add_device.)
   */
  addDevice(dev: Device): void {
    if (dev.ops?.pageResponse === undefined) throw ENODEV;
    if (dev.faultParam !== null) throw EBUSY;
    dev.iommu.kernel.step("iopf.addDevice");
    const param = new FaultParam(this, dev);
    this.#devices.add(param);
    dev.faultParam = param;
  }

  /**
   * Removes a device that faults no more: requests that wait for the rest of
   * their group are dropped, pending groups are answered INVALID, the newest
   * first. Groups that their handler dequeued are still its own.
   * (Linux: iopf_queue_remove_device.)
   */
  removeDevice(dev: Device): void {
    const param = dev.faultParam;
    const missing = dev.iommu.kernel.warnings.on(
      param?.queue !== this,
      `${dev.name} is not in the fault queue that it is removed from`,
    );
    if (missing || param === null) return;
    param.partial = [];
    for (const group of [...param.pending].reverse()) {
      group.response(IOMMU_PAGE_RESP_INVALID);
    }
    this.#devices.delete(param);
    dev.faultParam = null;
  }

  /**
   * Drops the requests of all devices that wait for the rest of their group:
   * for a driver whose hardware queue overflowed, so that the last ones may
   * have got lost. (Linux: iopf_queue_discard_partial.)
   */
  discardPartial(): void {
    for (const param of this.#devices) param.partial = [];
  }

  /** Removes all devices, the newest first (Linux: iopf_queue_free). */
  free(): void {
    for (const { dev } of [...this.#devices].reverse()) this.removeDevice(dev);
  }
}
