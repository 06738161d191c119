// SPDX-License-Identifier: GPL-2.0-only

/**
 * Queues in guest memory that hardware reads by physical addresses.
 *
 * While there is one, an access of its own keeps the memory pinned and its
 * areas locked: they cannot be unmapped. The access is an object like any other,
 * with the id after the queue's, which only the kernel can destroy.
 *
 * Linux: struct iommufd_hw_queue, viommu.c and driver.c.
 *
 * @module
 */

import type { HwQueue } from "../../iommu/viommu/viommu.ts";
import { U64_MAX } from "../../lib/u64.ts";
import {
  EFAULT,
  EINVAL,
  ENOENT,
  ENOMEM,
  EOPNOTSUPP,
  ERANGE,
  type Errno,
} from "../../uapi/errno.ts";
import {
  IOMMU_HW_QUEUE_TYPE_DEFAULT,
  type IommuHwQueueAlloc,
} from "../../uapi/iommufd.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import { Access } from "../access/access.ts";
import { lastIova } from "../ioas/iova_alloc.ts";
import { IommufdObject } from "../objects/object.ts";
import { NO_LENGTH, UNKNOWN_FLAG } from "../objects/refusals.ts";
import type { Ucmd } from "../objects/ucmd.ts";
import { IommufdViommu } from "./viommu.ts";

const PAGE = BigInt(PAGE_SIZE);
/** Longest allocation of the kernel, bytes. */
const MAX_ALLOCATION = 2n ** 31n - 1n;
/** Bytes of a pointer in Linux's array of pages. */
const POINTER_SIZE = 8n;

const UNKNOWN_TYPE = EOPNOTSUPP.because("the vIOMMU has no queue of the type");

/** A queue of a virtual IOMMU (Linux: struct iommufd_hw_queue). It is a user of that. */
export class IommufdHwQueue extends IommufdObject implements HwQueue {
  /** Where there is none. */
  static override readonly notFound: Errno = ENOENT.because(
    "there is no HW queue with this id",
  );
  /** `IOMMU_HW_QUEUE_TYPE_*`. */
  readonly type: number;
  /** Where it begins, an IOVA of the virtual IOMMU's HWPT. */
  readonly baseAddr: bigint;
  /** Bytes. */
  readonly length: bigint;
  /** Its virtual IOMMU. */
  readonly viommu: IommufdViommu;
  #access: Access | undefined;
  #stop: (() => void) | undefined;

  /** Without memory yet. */
  constructor(
    viommu: IommufdViommu,
    { type, nestingParentIova, length }: IommuHwQueueAlloc,
  ) {
    super(viommu.ctx);
    this.viommu = viommu;
    this.type = type;
    this.baseAddr = nestingParentIova;
    this.length = length;
    viommu.ref();
  }

  /** For a message. */
  override get called(): string {
    return "a HW queue";
  }

  /** For a message. */
  override get uses(): readonly (IommufdObject | undefined)[] {
    return [this.viommu, this.#access];
  }

  /** For a message. */
  override get user(): string {
    return "another HW queue";
  }

  /** The whole pages that it lies in; the length is 2^64 or more where Linux's would wrap. */
  get #pages(): { readonly iova: bigint; readonly length: bigint } {
    const offset = this.baseAddr % PAGE;
    const npages = (offset + this.length + PAGE - 1n) / PAGE;
    return { iova: this.baseAddr - offset, length: npages * PAGE };
  }

  /**
   * Pins and locks its memory, and has the driver start it. Throws ERANGE if
   * its last page would be the last of all; ENOMEM; EADDRINUSE if the IOAS has
   * an area that is not aligned to CPU pages; what pinning throws; EFAULT
   * unless the pages are contiguous; what the driver throws.
   */
  init(index: number): void {
    const baseAddr = this.#pin();
    const { ops } = this.viommu;
    this.#stop = ops.hwQueueInitPhys!(this, index, baseAddr);
  }

  /** See {@link HwQueue}. Throws EINVAL for itself. */
  depend(on: HwQueue): void {
    if (on === this) throw EINVAL.because("a queue depends on itself");
    (on as IommufdHwQueue).ref();
  }

  /** See {@link HwQueue}. */
  undepend(on: HwQueue): void {
    (on as IommufdHwQueue).unref();
  }

  /** Linux: iommufd_hw_queue_destroy. */
  override destroy(): void {
    this.#stop?.();
    const access = this.#access;
    if (access !== undefined) {
      const { iova, length } = this.#pages;
      access.unpinPages(iova, length);
      access.release();
    }
    this.viommu.unref();
  }

  /** Pins its pages; returns where it begins in physical memory (Linux: iommufd_hw_queue_alloc_phys). */
  #pin(): number {
    const { ctx } = this;
    const { iova, length } = this.#pages;
    if (length > U64_MAX) {
      throw ERANGE.because("the pages of the queue reach the end of all IOVA");
    }
    const npages = length / PAGE;
    const bytes = npages * POINTER_SIZE;
    if (bytes > MAX_ALLOCATION) {
      throw ENOMEM.because("the queue has more pages than can be listed");
    }
    ctx.kernel.allocVirtual("hwQueue.pages", Number(bytes));
    const pfns = new Int32Array(Number(npages));
    const access = Access.createInternal(ctx);
    try {
      access.attachTo(this.viommu.paging.ioas);
      access.pinPages(iova, length, pfns, 0);
      if (pfns.some((pfn, i) => pfn !== pfns[0]! + i)) {
        access.unpinPages(iova, length);
        throw EFAULT.because("the pages of the queue are not contiguous");
      }
    } catch (error) {
      access.release();
      throw error;
    }
    this.#access = access;
    return pfns[0]! * PAGE_SIZE + Number(this.baseAddr - iova);
  }
}

/**
 * IOMMU_HW_QUEUE_ALLOC. Throws EOPNOTSUPP for flags, for no type, and for one
 * that the vIOMMU does not have; EINVAL for length 0, EOVERFLOW for a range
 * past the end; ENOENT without such a vIOMMU; ENOMEM, what
 * {@link IommufdHwQueue.init} throws, EFAULT.
 * (Linux: iommufd_hw_queue_alloc_ioctl.)
 */
export function hwQueueAlloc(ucmd: Ucmd<IommuHwQueueAlloc>): void {
  const { ctx, cmd } = ucmd;
  if (cmd.flags !== 0) throw UNKNOWN_FLAG;
  if (cmd.type === IOMMU_HW_QUEUE_TYPE_DEFAULT) throw UNKNOWN_TYPE;
  if (cmd.length === 0n) throw NO_LENGTH;
  lastIova(cmd.nestingParentIova, cmd.length);
  ctx.objects.get(cmd.viommuId, IommufdViommu).putAfter((viommu) => {
    const { ops } = viommu;
    if (!ops.hwQueueInitPhys || !ops.hasHwQueue?.(cmd.type)) throw UNKNOWN_TYPE;
    const queue = new IommufdHwQueue(viommu, cmd);
    ucmd.newObject = queue;
    queue.init(cmd.index);
    cmd.outHwQueueId = queue.id;
    ucmd.respond();
  });
}
