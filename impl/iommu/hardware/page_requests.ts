// SPDX-License-Identifier: GPL-2.0-only

/**
 * A device's requests for pages that its DMA did not find (PCI PRI): each is a
 * group of its own, which whoever attached the domain answers, now or later.
 *
 * @module
 */

import { IOMMU_WRITE } from "../domain.ts";
import { IOMMU_NO_PASID } from "../group.ts";
import {
  IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
  IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
  IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID,
  IOMMU_PAGE_RESP_SUCCESS,
  type PageResponse,
  reportDeviceFault,
} from "../page_fault.ts";
import { errnoOf } from "../../uapi/errno.ts";
import {
  IOMMU_PGFAULT_PERM_READ,
  IOMMU_PGFAULT_PERM_WRITE,
} from "../../uapi/fault.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import type { DmaFault } from "./dma.ts";
import type { Device } from "../device.ts";

/** Requests of a device that wait at a time: numbers of groups have nine bits. */
export const MAX_PAGE_REQUESTS: number = 2 ** 9;

/** Is told whether the page can be had. */
export type PageAnswer = (granted: boolean) => void;

/** The requests of one device. Its IOMMU driver hands them the answers, in pageResponse(). */
export class PageRequests {
  readonly #dev: Device;
  /** Who waits, by the number of the group; undefined for who has forgotten it. */
  readonly #waiting: Map<number, PageAnswer | undefined> = new Map();
  #last = 0;

  /** For {@link Device}. */
  constructor(dev: Device) {
    this.#dev = dev;
  }

  /**
   * Asks for the pages of faults as one group. `answered` is called once: at
   * once with false where nobody answers page requests, too many wait, or DMA
   * failed for another reason; later, with what was answered, else. It is
   * never called after a {@link forget}.
   */
  ask(faults: readonly DmaFault[], answered: PageAnswer): void {
    const cannot = this.#dev.ops === null || faults.length === 0 ||
      this.#waiting.size === MAX_PAGE_REQUESTS;
    if (cannot || !faults.every((fault) => fault.isMissing)) {
      return answered(false);
    }
    const grpid = this.#freeGroup();
    this.#waiting.set(grpid, answered);
    for (const [i, fault] of faults.entries()) {
      const flags = i === faults.length - 1
        ? IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE
        : 0;
      // Who refuses it has answered it.
      errnoOf(() => this.#report(fault, grpid, flags));
    }
  }

  #report(
    { iova, pasid, access }: DmaFault,
    grpid: number,
    flags: number,
  ): void {
    const ofPasid = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID |
      IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID;
    reportDeviceFault(this.#dev, {
      flags: flags | (pasid === IOMMU_NO_PASID ? 0 : ofPasid),
      pasid,
      grpid,
      perm: access === IOMMU_WRITE
        ? IOMMU_PGFAULT_PERM_WRITE
        : IOMMU_PGFAULT_PERM_READ,
      addr: BigInt(iova - iova % PAGE_SIZE),
    });
  }

  /** The IOMMU has the answer to a group. */
  answer({ grpid, code }: PageResponse): void {
    const answered = this.#waiting.get(grpid);
    this.#waiting.delete(grpid);
    answered?.(code === IOMMU_PAGE_RESP_SUCCESS);
  }

  /** The device does not wait any more. The numbers are taken until they are answered, so that no answer is taken for another. */
  forget(): void {
    for (const grpid of this.#waiting.keys()) {
      this.#waiting.set(grpid, undefined);
    }
  }

  #freeGroup(): number {
    do {
      this.#last = (this.#last + 1) % MAX_PAGE_REQUESTS;
    } while (this.#waiting.has(this.#last));
    return this.#last;
  }
}
