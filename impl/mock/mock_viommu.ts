// SPDX-License-Identifier: GPL-2.0-only

/**
 * The mock's virtual IOMMU: nested domains that know which it is, requests
 * that clear the caches of its devices, two hardware queues of which the second
 * needs the first, and two pages that user space can map.
 *
 * @module
 */

import type { Domain } from "../iommu/domain.ts";
import { iommuIovaToPhys } from "../iommu/map.ts";
import {
  copyStructFromFullUserArray,
  copyStructFromUser,
  copyStructToUser,
  type UserData,
  type UserDataArray,
} from "../iommu/user_data.ts";
import type { HwQueue, Viommu, ViommuOps } from "../iommu/viommu/viommu.ts";
import type { MemoryObject } from "../kernel/interfaces/memory_object.ts";
import { EEXIST, EFAULT, EINVAL, EIO, EOPNOTSUPP } from "../uapi/errno.ts";
import { IOMMU_HWPT_ALLOC_PASID } from "../uapi/iommufd.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import {
  IOMMU_HW_QUEUE_TYPE_SELFTEST,
  IOMMU_TEST_HW_QUEUE_MAX,
  IOMMU_TEST_INVALIDATE_FLAG_ALL,
  IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
  IOMMU_VIOMMU_TYPE_SELFTEST,
  MOCK_DEV_CACHE_ID_MAX,
  ViommuInvalidateSelftest,
  ViommuSelftest,
} from "../uapi/selftest.ts";
import type { MockDevice, MockIommuOps } from "./mock_device.ts";

/** Bytes that user space can map. */
const MMAP_LENGTH = 2 * PAGE_SIZE;

/** Memory of the driver's that user space can map. */
interface Pages {
  readonly memory: MemoryObject;
  readonly offset: number;
}

/** A virtual IOMMU of the mock (Linux: struct mock_viommu, mock_viommu_ops). */
export class MockViommu implements ViommuOps {
  readonly #driver: MockIommuOps;
  readonly #viommu: Viommu;
  readonly #pages: Pages | undefined;
  /** Its hardware queues by index. */
  readonly #queues: (HwQueue | undefined)[] = [];

  /**
   * With data it gets pages to map, and answers where they are. Throws what
   * copying data throws, ENOMEM. (Linux: mock_viommu_init.)
   */
  constructor(
    driver: MockIommuOps,
    viommu: Viommu,
    userData: UserData | undefined,
  ) {
    this.#driver = driver;
    this.#viommu = viommu;
    if (userData !== undefined) this.#pages = this.#makePages(userData);
  }

  /** Linux: mock_viommu_destroy. */
  destroy(): void {
    if (this.#pages !== undefined) this.#freePages(this.#pages);
  }

  /** A nested domain that gets its devices' numbers from this virtual IOMMU. Throws EOPNOTSUPP for flags and types of data that it does not know, and what copying throws. */
  domainAllocNested(flags: number, userData: UserData): Domain {
    if (flags & ~IOMMU_HWPT_ALLOC_PASID) {
      throw EOPNOTSUPP.because("a flag is unknown");
    }
    return this.#driver.allocNested(userData, this.#viommu);
  }

  /**
   * Clears a word, or all, of the cache of a device for each request. All
   * requests are read before the first is carried out. Throws EINVAL for
   * another type, for a device and for a word that do not exist; EOPNOTSUPP for
   * unknown flags; E2BIG, EFAULT, ENOMEM. (Linux: mock_viommu_cache_invalidate.)
   */
  cacheInvalidate(array: UserDataArray): void {
    const type = IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST;
    if (array.entryNum === 0 && array.type === type) return;
    const { kernel } = this.#driver.iommu;
    const bytes = array.entryNum * ViommuInvalidateSelftest.size;
    if (bytes > 0) kernel.step("mock.requests");
    const requests = copyStructFromFullUserArray(
      ViommuInvalidateSelftest,
      array,
      type,
    );
    for (const { flags, vdevId, cacheId } of requests) {
      if (flags & ~IOMMU_TEST_INVALIDATE_FLAG_ALL) {
        throw EOPNOTSUPP.because("a request has an unknown flag");
      }
      if (cacheId > MOCK_DEV_CACHE_ID_MAX) {
        throw EINVAL.because("a request names a word that there is not");
      }
      const dev = this.#viommu.findDevice(BigInt(vdevId));
      if (dev === undefined) {
        throw EINVAL.because("a request names a device that there is not");
      }
      const { cache } = dev as MockDevice;
      if (flags & IOMMU_TEST_INVALIDATE_FLAG_ALL) cache.fill(0);
      else cache[cacheId] = 0;
      array.handled++;
    }
  }

  /** One type (Linux: mock_viommu_get_hw_queue_size). */
  hasHwQueue(type: number): boolean {
    return type === IOMMU_HW_QUEUE_TYPE_SELFTEST;
  }

  /**
   * Queue 1 depends on queue 0. Throws EINVAL for another index, EEXIST for one
   * that is in use, EIO for 1 without 0, EFAULT if the parent does not translate
   * to the address. (Linux: mock_hw_queue_init_phys.)
   */
  hwQueueInitPhys(
    queue: HwQueue,
    index: number,
    baseAddr: number,
  ): () => void {
    if (index >= IOMMU_TEST_HW_QUEUE_MAX) {
      throw EINVAL.because("there are queues 0 and 1 only");
    }
    const queues = this.#queues;
    if (queues[index] !== undefined) {
      throw EEXIST.because("the vIOMMU has the queue already");
    }
    const before = queues[index - 1];
    if (index > 0 && before === undefined) {
      throw EIO.because("queue 1 needs queue 0");
    }
    if (iommuIovaToPhys(this.#viommu.parent, queue.baseAddr) !== baseAddr) {
      throw EFAULT.because("the queue is not where the parent translates to");
    }
    if (before !== undefined) queue.depend(before);
    queues[index] = queue;
    return () => {
      queues[index] = undefined;
      if (before !== undefined) queue.undepend(before);
    };
  }

  #makePages(userData: UserData): Pages {
    const { kernel } = this.#driver.iommu;
    const type = IOMMU_VIOMMU_TYPE_SELFTEST;
    const { inData } = copyStructFromUser(
      ViommuSelftest,
      userData,
      type,
      "outData",
    );
    kernel.step("mock.viommuPages");
    const memory = kernel.machine.createObject();
    using undo = new DisposableStack();
    undo.defer(() => memory.put());
    memory.extend(MMAP_LENGTH);
    const offset = this.#viommu.allocMmap(memory, MMAP_LENGTH);
    undo.defer(() => this.#viommu.destroyMmap(offset));
    memory.write(0, new Uint8Array(Uint32Array.of(inData).buffer));
    copyStructToUser(ViommuSelftest, userData, type, "outData", {
      inData,
      outData: inData,
      outMmapOffset: BigInt(offset),
      outMmapLength: BigInt(MMAP_LENGTH),
    });
    undo.move();
    return { memory, offset };
  }

  #freePages({ memory, offset }: Pages): void {
    this.#viommu.destroyMmap(offset);
    memory.put();
  }
}
