// SPDX-License-Identifier: GPL-2.0-only

/**
 * The typed client's ioctls for virtual IOMMUs: what Linux 6.13 to 6.17 added.
 *
 * @module
 */

import * as uapi from "../uapi/iommufd.ts";
import type { U64 } from "../uapi/layout/struct.ts";
import { toBytes, toU32 } from "./arguments.ts";
import { check, type Descriptor, ScratchMemory } from "./descriptor.ts";

/** Events to read at once. */
const MAX_EVENTS = 64;

/** What {@link ViommuClient.alloc} allocates. */
export interface ViommuAllocOptions {
  /** A bound device behind the physical IOMMU. */
  readonly devId: number;
  /** The HWPT that the guest's tables translate to, allocated as NEST_PARENT. */
  readonly hwptId: number;
  /** `IOMMU_VIOMMU_TYPE_*`. */
  readonly type: number;
  /** The IOMMU driver's own data; default none. */
  readonly data?: Uint8Array;
}

/** What the guest gives a queue in its memory for, with {@link ViommuClient.hwQueueAlloc}. */
export interface HwQueueOptions {
  /** The virtual IOMMU. */
  readonly viommuId: number;
  /** `IOMMU_HW_QUEUE_TYPE_*`. */
  readonly type: number;
  /** Which of the virtual IOMMU's queues it is; default 0. */
  readonly index?: number;
  /** The guest's address of its first byte. */
  readonly nestingParentIova: U64;
  /** Bytes. */
  readonly length: U64;
}

/** What came out of a queue of events. */
export interface Vevent {
  /** Its number; a gap before it means that events were lost there. */
  readonly sequence: number;
  /** The event, in the format of its type; undefined where the newest events were lost. */
  readonly data: Uint8Array | undefined;
}

/**
 * The ioctls for virtual IOMMUs on an open iommufd; see `IommufdClient.viommu`.
 * HWPTs that are nested by one are allocated with `hwpt.alloc()`, its caches
 * invalidated with `hwpt.invalidate()`, its pages mapped with the process's
 * `mmap()`. They throw ENOTTY in revisions that do not have them.
 */
export class ViommuClient {
  readonly #descriptor: Descriptor;

  /** For `IommufdClient`. */
  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
  }

  /**
   * IOMMU_VIOMMU_ALLOC: a virtual IOMMU; `data` is what the driver made of the
   * data. Throws EOPNOTSUPP for a type that the IOMMU does not know, ENOENT
   * without such a device or HWPT, EINVAL for a HWPT that is no parent, and
   * for data that make no sense; ENOMEM.
   */
  alloc(options: ViommuAllocOptions): { viommuId: number; data: Uint8Array } {
    const { process } = this.#descriptor;
    const data = toBytes("data", options.data ?? new Uint8Array());
    using memory = new ScratchMemory(process, data.length);
    memory.store(data);
    const { outViommuId } = this.#descriptor.call(uapi.IommuViommuAlloc, {
      ...options,
      dataLen: data.length,
      dataUptr: data.length > 0 ? memory.address : 0,
    });
    return {
      viommuId: outViommuId,
      data: process.peek(memory.address, data.length),
    };
  }

  /**
   * IOMMU_VDEVICE_ALLOC: a device gets the number that the guest's IOMMU has
   * for it. Throws ENOENT without such a virtual IOMMU or device, EINVAL for a
   * device behind another IOMMU, EEXIST if the device or the number is taken;
   * ENOMEM.
   */
  vdeviceAlloc(options: {
    readonly viommuId: number;
    readonly devId: number;
    readonly virtId: U64;
  }): { vdeviceId: number } {
    const reply = this.#descriptor.call(uapi.IommuVdeviceAlloc, options);
    return { vdeviceId: reply.outVdeviceId };
  }

  /**
   * IOMMU_VEVENTQ_ALLOC: a queue for a virtual IOMMU's events of one type, and
   * the descriptor to read them from. Throws ENOENT without such a virtual
   * IOMMU, EEXIST if it has a queue of the type, EINVAL for a depth of 0 or
   * above 2^19; EMFILE, ENOMEM.
   */
  veventqAlloc(options: {
    readonly viommuId: number;
    readonly type: number;
    readonly veventqDepth: number;
  }): { veventqId: number; veventqFd: number } {
    const reply = this.#descriptor.call(uapi.IommuVeventqAlloc, options);
    return { veventqId: reply.outVeventqId, veventqFd: reply.outVeventqFd };
  }

  /** Reads the events that wait in a queue, each with `dataLen` bytes; none if it is empty. */
  readEvents(veventqFd: number, dataLen: number): Vevent[] {
    const { process } = this.#descriptor;
    const { size } = uapi.IommufdVeventHeader;
    const bytes = new Uint8Array(
      MAX_EVENTS * (size + toU32("dataLen", dataLen)),
    );
    const fd = toU32("veventqFd", veventqFd);
    const read = check(process, process.read(fd, bytes), "read", { veventqFd });
    const events: Vevent[] = [];
    for (let at = 0; at < read;) {
      const header = uapi.IommufdVeventHeader.decode(bytes.subarray(at));
      const { flags, sequence } = header;
      const lost = (flags & uapi.IOMMU_VEVENTQ_FLAG_LOST_EVENTS) !== 0;
      const end = at + size + (lost ? 0 : dataLen);
      const data = lost ? undefined : bytes.slice(at + size, end);
      events.push({ sequence, data });
      at = end;
    }
    return events;
  }

  /**
   * IOMMU_HW_QUEUE_ALLOC: the hardware works on a queue in the guest's memory,
   * which stays mapped and pinned as long. Throws ENOENT without such a virtual
   * IOMMU, and where nothing is mapped; EOPNOTSUPP for a type that the virtual
   * IOMMU does not know; EINVAL, EFAULT for pages that are not aligned or not
   * contiguous; EPERM; ENOMEM; and what the driver throws.
   */
  hwQueueAlloc(options: HwQueueOptions): { hwQueueId: number } {
    const reply = this.#descriptor.call(uapi.IommuHwQueueAlloc, options);
    return { hwQueueId: reply.outHwQueueId };
  }
}
