// SPDX-License-Identifier: GPL-2.0-only

/**
 * Queues for the page faults of devices; a driver has one for each IOMMU.
 *
 * @module
 */

import { EBUSY, ENODEV } from "../uapi/errno.ts";
import type { Device } from "./device.ts";
import type { Domain } from "./domain.ts";
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
  /** Attached domains that it is in the queue for: see {@link IopfQueue.changeDomain}. */
  domains = 0;

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
 * The devices of an IOMMU that may fault (Linux: struct iopf_queue): those that
 * are attached to a domain that handles page faults.
 */
export class IopfQueue {
  readonly #devices = new Set<FaultParam>();

  /**
   * For the driver, when it attaches `domain` to a device in place of `old`,
   * after all else that can fail: the device is in the queue as long as one of
   * its domains (it may have one for each PASID) handles page faults. Throws
   * as {@link addDevice} does, and nothing has changed then.
   * (Linux: iopf_for_domain_replace of Intel's driver.)
   */
  changeDomain(dev: Device, domain: Domain, old: Domain | null): void {
    if (domain.iopfHandler !== undefined) {
      if (!dev.faultParam?.domains) this.addDevice(dev);
      dev.faultParam!.domains++;
    }
    if (old?.iopfHandler === undefined) return;
    const param = dev.faultParam;
    if (param === null || --param.domains === 0) this.removeDevice(dev);
  }

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
