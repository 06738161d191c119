// SPDX-License-Identifier: GPL-2.0-only

/**
 * The descriptor of a fault queue: read gives faults, write takes answers.
 *
 * Linux: iommufd_fault_fops of fault.c.
 *
 * @module
 */

import type { IopfGroup } from "../../iommu/page_fault.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import { KernelBug } from "../../kernel/warn.ts";
import { XarrayNodes } from "../../lib/xarray_nodes.ts";
import { EINVAL, Errno, ESPIPE } from "../../uapi/errno.ts";
import {
  IOMMUFD_PAGE_RESP_INVALID,
  IOMMUFD_PAGE_RESP_SUCCESS,
  IommuHwptPageResponse,
  IommuHwptPgfault,
} from "../../uapi/iommufd.ts";
import { POLLOUT } from "../../uapi/mman.ts";
import { EventQueueFile } from "./event_queue.ts";
import type { IommufdFault } from "./fault.ts";
import { IommufdAttachHandle } from "./fault_attach.ts";

const PARTS_OF_RECORDS = ESPIPE.because("the length is not of whole records");

/** A fault queue as an open file. */
export class FaultFile extends EventQueueFile {
  readonly #fault: IommufdFault;

  /** Takes its references. */
  constructor(fault: IommufdFault) {
    super(fault);
    this.#fault = fault;
  }

  /** The name of its kind. */
  override get label(): string {
    return "anon_inode:[iommufd-pgfault]";
  }

  /**
   * Stores whole groups of faults, the oldest first, as many as fit; 0 bytes
   * when there is none: it never waits. Throws ESPIPE unless `count` is a
   * multiple of the record's size, EINVAL if the first group does not fit,
   * EFAULT if it cannot be handed out; it is still unread then.
   * (Linux: iommufd_fault_fops_read.)
   */
  override read(process: Task, uaddr: number, count: number): number {
    if (count % IommuHwptPgfault.size !== 0) throw PARTS_OF_RECORDS;
    let done = 0;
    return untilError(() => done, () => {
      for (const group of this.#fault.unread) {
        const length = group.faults.length * IommuHwptPgfault.size;
        if (length > count - done) {
          throw EINVAL.because(
            "there is no room for the first group of faults",
          );
        }
        this.#handOut(group, process, uaddr + done);
        done += length;
      }
    });
  }

  /**
   * Takes answers. Throws ESPIPE unless `count` is a multiple of the record's
   * size; EFAULT, EINVAL for an unknown code and then for an unknown cookie,
   * if that happens to the first one: answers before a bad one count.
   * (Linux: iommufd_fault_fops_write.)
   */
  override write(process: Task, uaddr: number, count: number): number {
    const { size } = IommuHwptPageResponse;
    if (count % size !== 0) throw PARTS_OF_RECORDS;
    const bytes = new Uint8Array(size);
    const answer = IommuHwptPageResponse.at(bytes);
    let done = 0;
    return untilError(() => done, () => {
      for (; done < count; done += size) {
        process.mm.copyFromUser(bytes, uaddr + done);
        const { code, cookie } = answer;
        if (
          code !== IOMMUFD_PAGE_RESP_SUCCESS &&
          code !== IOMMUFD_PAGE_RESP_INVALID
        ) throw EINVAL.because("the code is not known");
        if (!this.#fault.answer(cookie, code)) {
          throw EINVAL.because("no fault that was read has this cookie");
        }
      }
    });
  }

  /** Readable while there are unread groups, always writable. */
  override poll(): number {
    return POLLOUT | super.poll();
  }

  /** Stores the records of one group, which then waits for its answer. */
  #handOut(group: IopfGroup, process: Task, uaddr: number): void {
    const { unanswered, ctx } = this.#fault;
    const { attachHandle } = group;
    if (!(attachHandle instanceof IommufdAttachHandle)) {
      throw new KernelBug(
        "A fault came through an attachment of somebody else",
      );
    }
    const cookie = unanswered.alloc();
    ctx.kernel.allocNodes(
      () => XarrayNodes.of([...unanswered.ids()].filter((id) => id !== cookie)),
      cookie,
      cookie,
    );
    try {
      let to = uaddr;
      const devId = attachHandle.idev.id;
      for (const fault of group.faults) {
        const record = IommuHwptPgfault.encode({ ...fault, devId, cookie });
        process.mm.copyToUser(to, record);
        to += record.length;
      }
    } catch (error) {
      unanswered.erase(cookie);
      throw error;
    }
    this.#fault.handedOut(group, cookie);
  }
}

/** Runs `body`; an errno counts only if nothing was done before it. Returns what was done. */
function untilError(done: () => number, body: () => void): number {
  try {
    body();
  } catch (error) {
    if (done() === 0 || !(error instanceof Errno)) throw error;
  }
  return done();
}
