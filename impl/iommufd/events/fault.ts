// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fault queues: how the page faults of devices that are attached to nested
 * HWPTs get to user space, and its answers back.
 *
 * A group of faults is unread until user space reads it from the queue's
 * descriptor, which gives it a cookie; then it is unanswered until user space
 * writes an answer with that cookie. When the attachment that it came through
 * ends, it is answered for user space.
 *
 * Linux: drivers/iommu/iommufd/fault.c.
 *
 * @module
 */

import {
  IOMMU_PAGE_RESP_INVALID,
  type IopfGroup,
} from "../../iommu/page_fault.ts";
import type { AttachHandle } from "../../iommu/group.ts";
import { IdTable } from "../../lib/id_table.ts";
import { ENOENT, type Errno } from "../../uapi/errno.ts";
import type { IommuFaultAlloc } from "../../uapi/iommufd.ts";
import { EventQueue, openEventQueue } from "./event_queue.ts";
import { FaultFile } from "./fault_file.ts";
import type { HwPagetable } from "../hwpt/hw_pagetable.ts";
import { UNKNOWN_FLAG } from "../objects/refusals.ts";
import type { Ucmd } from "../objects/ucmd.ts";

/**
 * A fault queue (Linux: struct iommufd_fault). Its descriptor and the HWPTs
 * with it are users of it.
 */
export class IommufdFault extends EventQueue {
  /** Where there is none. */
  static override readonly notFound: Errno = ENOENT.because(
    "there is no fault queue with this id",
  );
  /** Groups that user space has not read, oldest first (Linux: deliver). */
  readonly unread: Set<IopfGroup> = new Set();
  /** Groups that user space has read and not answered, by cookie (Linux: response). */
  readonly unanswered: IdTable<IopfGroup> = new IdTable<IopfGroup>({
    first: 1,
    max: 2 ** 32 - 1,
  });
  /** Both by attachment; a group that was read has its cookie. */
  readonly #cameThrough = new Map<AttachHandle, Map<IopfGroup, Cookie>>();

  /** Whether a group is unread. */
  override get isReadable(): boolean {
    return this.unread.size > 0;
  }

  /** Queues a group; the queue must answer it now (Linux: iommufd_fault_iopf_handler). */
  deliver(group: IopfGroup): void {
    group.dequeue();
    this.unread.add(group);
    this.#groupsOf(group.attachHandle).set(group, undefined);
    this.file?.pollChanged();
  }

  /** User space has read a group: it waits for an answer with this cookie, which is reserved. */
  handedOut(group: IopfGroup, cookie: number): void {
    this.unread.delete(group);
    this.unanswered.publish(cookie, group);
    this.#groupsOf(group.attachHandle).set(group, cookie);
    this.file?.pollChanged();
  }

  /** Answers the group with this cookie, which is free again; false if there is none. */
  answer(cookie: number, code: number): boolean {
    const group = this.unanswered.erase(cookie);
    if (group === undefined) return false;
    this.#groupsOf(group.attachHandle).delete(group);
    group.response(code);
    return true;
  }

  /**
   * Answers all groups INVALID that came through an attachment, unread ones
   * first; their cookies are free again. The attachment has ended.
   * (Linux: iommufd_auto_response_faults.)
   */
  autoResponse(handle: AttachHandle): void {
    const groups = [...this.#groupsOf(handle)];
    this.#cameThrough.delete(handle);
    // Unread ones keep their order. A cookie can be 0.
    groups.sort(([, a = -1], [, b = -1]) => a - b);
    for (const [group, cookie] of groups) {
      if (cookie === undefined) this.unread.delete(group);
      else this.unanswered.erase(cookie);
      group.response(IOMMU_PAGE_RESP_INVALID);
    }
    this.file?.pollChanged();
  }

  /** Answers whatever is left INVALID (Linux: iommufd_fault_destroy). */
  override destroy(): void {
    for (const handle of this.#cameThrough.keys()) this.autoResponse(handle);
  }

  #groupsOf(handle: AttachHandle): Map<IopfGroup, Cookie> {
    let groups = this.#cameThrough.get(handle);
    if (groups === undefined) {
      groups = new Map();
      this.#cameThrough.set(handle, groups);
    }
    return groups;
  }
}

/** What user space answers a group with; undefined before it has read it. */
type Cookie = number | undefined;

/**
 * IOMMU_FAULT_QUEUE_ALLOC: a fault queue and a descriptor for it. Throws
 * EOPNOTSUPP for flags, ENOMEM, EMFILE, EFAULT. (Linux: iommufd_fault_alloc.)
 */
export function faultQueueAlloc(ucmd: Ucmd<IommuFaultAlloc>): void {
  const { ctx, cmd } = ucmd;
  if (cmd.flags !== 0) throw UNKNOWN_FLAG;
  const fault = new IommufdFault(ctx);
  ucmd.newObject = fault;
  openEventQueue(ucmd, () => new FaultFile(fault), (fd) => {
    cmd.outFaultId = fault.id;
    cmd.outFaultFd = fd;
  });
}

/**
 * Gives a new HWPT the fault queue that its maker named. Throws ENOENT without
 * such a queue. (Linux: iommufd_hwpt_alloc.)
 */
export function setHwptFault(hwpt: HwPagetable, faultId: number): void {
  const fault = hwpt.ctx.objects.get(faultId, IommufdFault);
  fault.ref();
  hwpt.fault = fault;
  hwpt.domain.iopfHandler = (group) => fault.deliver(group);
  fault.put();
}
