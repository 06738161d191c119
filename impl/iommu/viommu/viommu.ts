// SPDX-License-Identifier: GPL-2.0-only

/**
 * Virtual IOMMUs: what the driver of an IOMMU implements to give a part of its
 * hardware to a virtual machine, and what it is given for that.
 *
 * A driver says in `IommuOps.hasViommu` which types it has and makes one in
 * `IommuOps.viommuInit`, which returns what the rest of the kernel calls: an
 * object with {@link ViommuOps}, with whatever state the driver keeps for it.
 * `impl/mock/mock_viommu.ts` is a complete example.
 *
 * Linux: the second half of include/linux/iommufd.h, and driver.c.
 *
 * @module
 */

import type { MemoryObject } from "../../kernel/interfaces/memory_object.ts";
import type { Device } from "../device.ts";
import type { Domain } from "../domain.ts";
import type { UserData, UserDataArray } from "../user_data.ts";

/** A virtual IOMMU as its driver sees it (Linux: struct iommufd_viommu). */
export interface Viommu {
  /** `IOMMU_VIOMMU_TYPE_*`, one that the driver has. */
  readonly type: number;
  /** Translates what comes out of the nested domains of the virtual machine. */
  readonly parent: Domain;

  /** The device that the virtual machine calls `virtId`, if there is one (Linux: iommufd_viommu_find_dev). */
  findDevice(virtId: bigint): Device | undefined;

  /** What the virtual machine calls a device. Throws ENOENT for a device that it does not know. (Linux: iommufd_viommu_get_vdev_id.) */
  virtIdOf(dev: Device): bigint;

  /**
   * Queues an event for user space. One that finds its queue full is lost: user
   * space learns that from the queue, the driver does not. Throws EOPNOTSUPP
   * without a queue for events of this type; ENOMEM, with the event lost; EINVAL
   * with a warning for one of no bytes. (Linux: iommufd_viommu_report_event.)
   */
  reportEvent(type: number, data: Uint8Array): void;

  /**
   * Lets user space map the first `length` bytes of `memory`, which the driver
   * keeps until it calls {@link destroyMmap}; returns the offset for mmap() of
   * the iommufd, which the driver tells its user. What is mapped is a user of
   * the virtual IOMMU. Throws EINVAL for a length that is 0 or not of whole
   * pages, ENOMEM. (Linux: iommufd_viommu_alloc_mmap.)
   */
  allocMmap(memory: MemoryObject, length: number): number;

  /** Undoes {@link allocMmap}: nobody has the memory mapped (Linux: iommufd_viommu_destroy_mmap). */
  destroyMmap(offset: number): void;
}

/** A device of a virtual IOMMU as the driver sees it (Linux: struct iommufd_vdevice). */
export interface Vdevice {
  /** The device. */
  readonly dev: Device;
  /** What the virtual machine calls it. */
  readonly virtId: bigint;
}

/** A queue in guest memory that hardware reads by physical addresses (Linux: struct iommufd_hw_queue). */
export interface HwQueue {
  /** `IOMMU_HW_QUEUE_TYPE_*`, one that the driver has. */
  readonly type: number;
  /** Where it begins, an IOVA of the parent. */
  readonly baseAddr: bigint;
  /** Bytes. */
  readonly length: bigint;

  /** Keeps another queue of the same virtual IOMMU from being destroyed. Throws EINVAL for itself. (Linux: iommufd_hw_queue_depend.) */
  depend(on: HwQueue): void;
  /** Undoes {@link depend} (Linux: iommufd_hw_queue_undepend). */
  undepend(on: HwQueue): void;
}

/** What a driver implements for a virtual IOMMU (Linux: struct iommufd_viommu_ops). What is missing is EOPNOTSUPP for user space. */
export interface ViommuOps {
  /** Lets go of what the driver has for it; nothing uses it any more. */
  destroy?(): void;

  /**
   * A domain of type "nested" on top of the parent, as
   * `IommuOps.domainAllocNested` makes one; the driver knows the virtual IOMMU
   * that it is of. `flags` are 0 or IOMMU_HWPT_ALLOC_PASID.
   */
  domainAllocNested?(flags: number, userData: UserData): Domain;

  /**
   * User space changed tables that the virtual IOMMU caches and says what to
   * forget, as in `Domain.cacheInvalidateUser`; a request may name a device.
   */
  cacheInvalidate?(array: UserDataArray): void;

  /** The virtual machine gets a device; returns what is to be done when it goes, if anything. Throws to refuse it. */
  vdeviceInit?(vdevice: Vdevice): (() => void) | undefined;

  /** Whether it has queues of a type (Linux: get_hw_queue_size is not 0). */
  hasHwQueue?(type: number): boolean;

  /**
   * Starts a queue whose memory is contiguous from the physical address
   * `baseAddr` on and stays until the queue is gone; returns what stops it.
   * Throws to refuse it.
   */
  hwQueueInitPhys?(
    queue: HwQueue,
    index: number,
    baseAddr: number,
  ): () => void;
}
