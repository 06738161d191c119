// SPDX-License-Identifier: GPL-2.0-only

/**
 * Page faults of devices: a device asks for a page (PCI PRI), its IOMMU driver
 * reports that, whoever attached the domain decides, and the answer goes back
 * through the driver.
 *
 * A request names its group. All but the last of a group only wait; the last
 * one delivers them together, and the group gets one answer. Everything
 * happens during the report: there is no queue of work to flush.
 *
 * Linux: drivers/iommu/io-pgfault.c.
 *
 * @module
 */

import { KernelBug } from "../kernel/warn.ts";
import { asErrno, EINVAL, errnoOf } from "../uapi/errno.ts";
import { attachHandleGet } from "./attach.ts";
import { type Device, deviceIommuOps } from "./device.ts";
import type { DomainType } from "./domain.ts";
import { type AttachHandle, IOMMU_NO_PASID } from "./group.ts";
import type { FaultParam } from "./page_fault_queue.ts";

/** A page request's `pasid` is valid. */
export const IOMMU_FAULT_PAGE_REQUEST_PASID_VALID = 1 << 0;
/** A page request is the last of its group. */
export const IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE = 1 << 1;
/** The response to a page request must carry its PASID. */
export const IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID = 1 << 2;

/** Answer: the page is there now, try again. */
export const IOMMU_PAGE_RESP_SUCCESS = 0;
/** Answer: it cannot be had, do not try again. */
export const IOMMU_PAGE_RESP_INVALID = 1;
/** Answer: something is broken, do not ask any more. */
export const IOMMU_PAGE_RESP_FAILURE = 2;

/** A device's request for a page (Linux: struct iommu_fault_page_request). */
export interface PageRequest {
  /** `IOMMU_FAULT_PAGE_REQUEST_*` and `IOMMU_FAULT_PAGE_RESPONSE_*`. */
  readonly flags: number;
  /** The address space that it is for, with PASID_VALID. */
  readonly pasid: number;
  /** Number of its group; the device chooses it. */
  readonly grpid: number;
  /** Wanted access, `IOMMU_PGFAULT_PERM_*`. */
  readonly perm: number;
  /** Address that the device could not translate. */
  readonly addr: bigint;
}

/** The answer to a group of requests (Linux: struct iommu_page_response). */
export interface PageResponse {
  /** The PASID of the last request. */
  readonly pasid: number;
  /** The group. */
  readonly grpid: number;
  /** `IOMMU_PAGE_RESP_*`. */
  readonly code: number;
}

/**
 * A complete group of requests, to be answered once (Linux: struct
 * iopf_group). It is pending until it is answered or {@link dequeue}d.
 */
export class IopfGroup {
  /** The requests as they came; the last one has LAST_PAGE. */
  readonly faults: readonly PageRequest[];
  /** How the domain that is to handle them was attached. */
  readonly attachHandle: AttachHandle;
  readonly #param: FaultParam;
  readonly #last: PageRequest;
  #answered = false;

  /** Called by {@link reportDeviceFault} only. */
  constructor(
    param: FaultParam,
    attachHandle: AttachHandle,
    earlier: readonly PageRequest[],
    last: PageRequest,
  ) {
    this.#param = param;
    this.attachHandle = attachHandle;
    this.faults = [...earlier, last];
    this.#last = last;
    param.pending.add(this);
  }

  /** The device. */
  get dev(): Device {
    return this.#param.dev;
  }

  /** Answers the device with `IOMMU_PAGE_RESP_*` (Linux: iopf_group_response). */
  response(code: number): void {
    if (this.#answered) {
      throw new KernelBug(`A page fault of ${this.dev.name} is answered twice`);
    }
    this.#answered = true;
    respond(this.dev, this.#last, code);
    this.dequeue();
  }

  /**
   * Takes it from the list of pending groups, which are answered INVALID when
   * the device leaves its queue: from here on the caller alone answers.
   * (Linux: iopf_group_dequeue.)
   */
  dequeue(): void {
    this.#param.pending.delete(this);
  }
}

/**
 * Decides about the faults of the devices that a domain is attached to: it
 * answers the group, now or later (after {@link IopfGroup.dequeue}). Throws an
 * errno when it cannot take the group, which is answered FAILURE then.
 * (Linux: iommu_domain.iopf_handler.)
 */
export type IopfHandler = (group: IopfGroup) => void;

/**
 * Reports that a device asks for a page. For drivers of IOMMUs, for devices
 * that they put into an IopfQueue.
 *
 * Throws EINVAL when nobody handles the device's faults; the driver was told
 * to answer INVALID then. Throws ENOMEM for a request that cannot be kept
 * until its group is complete; it is lost. Returns normally otherwise, with
 * the answer FAILURE for a group that its handler did not take.
 * (Linux: iommu_report_device_fault.)
 */
export function reportDeviceFault(dev: Device, request: PageRequest): void {
  const attachHandle = findAttachHandle(dev, request);
  const handler = attachHandle?.domain?.iopfHandler;
  const param = dev.faultParam;
  dev.iommu.kernel.warnings.on(
    handler !== undefined && param === null,
    `${dev.name} faults on a domain that handles faults, but is in no queue`,
  );
  if (
    attachHandle === undefined || handler === undefined || param === null
  ) {
    respond(dev, request, IOMMU_PAGE_RESP_INVALID);
    throw EINVAL;
  }
  if (request.flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE) {
    // PASIDs are not compared: the number of a group is the device's.
    const earlier = param.takePartial(request.grpid);
    handle(new IopfGroup(param, attachHandle, earlier, request), handler);
  } else {
    dev.iommu.kernel.step("iopf.partial");
    param.partial.push(request);
  }
}

/** Hands over a complete group, or answers that this failed. */
function handle(group: IopfGroup, handler: IopfHandler): void {
  const errno = errnoOf(() => {
    group.dev.iommu.kernel.step("iopf.group");
    handler(group);
  });
  if (errno !== undefined) group.response(IOMMU_PAGE_RESP_FAILURE);
}

/**
 * The attachment that a request is for. A PASID that nothing is attached to
 * belongs to the user's own table of PASIDs, where the IOMMU has such, so that
 * the nested domain is in charge. (Linux: find_fault_handler.)
 */
function findAttachHandle(
  dev: Device,
  { flags, pasid }: PageRequest,
): AttachHandle | undefined {
  const { userPasidTable } = deviceIommuOps(dev);
  if (!(flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID)) {
    return handleOf(dev, IOMMU_NO_PASID);
  }
  const handle = handleOf(dev, pasid);
  if (handle !== undefined || !userPasidTable) return handle;
  return handleOf(dev, IOMMU_NO_PASID, "nested");
}

function handleOf(
  dev: Device,
  pasid: number,
  type?: DomainType,
): AttachHandle | undefined {
  try {
    return attachHandleGet(dev.group!, pasid, type);
  } catch (error) {
    asErrno(error);
    return undefined;
  }
}

/** Has the driver answer a request. */
function respond(dev: Device, request: PageRequest, code: number): void {
  const { pasid, grpid } = request;
  const ops = deviceIommuOps(dev);
  if (ops.pageResponse === undefined) {
    throw new KernelBug(`The IOMMU driver of ${dev.name} cannot answer faults`);
  }
  ops.pageResponse(dev, request, { pasid, grpid, code });
}
