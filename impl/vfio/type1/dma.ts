// SPDX-License-Identifier: GPL-2.0-only

/**
 * One mapping of a type1 container: memory of a process, pinned and charged
 * page by page when it is mapped.
 *
 * Linux: struct vfio_dma, vfio_pin_map_dma of
 * drivers/vfio/vfio_iommu_type1.c.
 *
 * @module
 */

import { type Domain, IOMMU_CACHE, IOMMU_WRITE } from "../../iommu/domain.ts";
import { iommuMap, iommuUnmap } from "../../iommu/map.ts";
import {
  FOLL_LONGTERM,
  FOLL_WRITE,
  type Mm,
} from "../../kernel/interfaces/mm.ts";
import type { PhysicalMemory } from "../../kernel/interfaces/physical_memory.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import { type Pfn, toIova } from "../../lib/brands.ts";
import { type FrameList, makeFrameList } from "../../lib/frame_list.ts";
import { IntervalNode } from "../../lib/interval_tree.ts";
import { EFAULT, ENOMEM } from "../../uapi/errno.ts";
import { CAP_IPC_LOCK, PAGE_SIZE, RLIMIT_MEMLOCK } from "../../uapi/mman.ts";

/** Pages that are pinned at a time. */
const BATCH = 512;

/** What a mapping is made of. */
export interface DmaRange {
  /** First IOVA. */
  readonly iova: bigint;
  /** Bytes. */
  readonly length: bigint;
  /** Address of the memory. */
  readonly vaddr: bigint;
  /** `IOMMU_READ`, `IOMMU_WRITE`. */
  readonly prot: number;
}

/** Pages that are one after the other in memory. */
interface Run {
  readonly pfn: number;
  count: number;
  /** They are a device's, and not pinned. */
  readonly isDevice: boolean;
}

/** One mapping. */
export class Dma extends IntervalNode<bigint> {
  /** Bytes. */
  readonly length: bigint;
  /** The address of the memory is not known for now (Linux: vaddr_invalid). */
  isAddressLost = false;
  /** The address of the memory. */
  vaddr: bigint;
  readonly #prot: number;
  /** Whose memory it is. */
  #mm: Mm;
  /** Pages that are charged. */
  #locked = 0;
  readonly #runs: Run[] = [];

  /** A range of the caller's memory, not mapped yet. */
  constructor(task: Task, { iova, length, vaddr, prot }: DmaRange) {
    super(iova, iova + length - 1n);
    this.length = length;
    this.vaddr = vaddr;
    this.#prot = prot;
    this.#mm = task.mm;
  }

  /**
   * Pins it, charges it to the caller and maps it. Throws ENOMEM above
   * RLIMIT_MEMLOCK, without CAP_IPC_LOCK; EFAULT; what the domain throws. Then
   * nothing is left of it.
   */
  map(task: Task, frames: PhysicalMemory, domain: Domain): void {
    try {
      this.#pin(task, frames);
      let iova = Number(this.start);
      for (const { pfn, count } of this.#runs) {
        const size = count * PAGE_SIZE;
        const prot = this.#prot | IOMMU_CACHE;
        iommuMap(domain, toIova(BigInt(iova)), pfn * PAGE_SIZE, size, prot);
        iova += size;
      }
    } catch (error) {
      this.unmap(frames, domain);
      throw error;
    }
  }

  /** Unmaps and unpins it (Linux: vfio_remove_dma). */
  unmap(frames: PhysicalMemory, domain: Domain): void {
    iommuUnmap(domain, toIova(this.start), Number(this.length));
    for (const { pfn, count, isDevice } of this.#runs) {
      if (!isDevice) frames.unpinRange(pfn as Pfn, count);
    }
    this.#mm.lockedVm -= this.#locked;
    this.#runs.length = 0;
    this.#locked = 0;
  }

  /** Its memory has another address, in the caller's memory, who is charged for it. Throws ENOMEM as {@link map}. (Linux: vfio_change_dma_owner.) */
  move(task: Task, vaddr: bigint): void {
    if (task.mm !== this.#mm) {
      charge(task, this.#locked);
      this.#mm.lockedVm -= this.#locked;
      this.#mm = task.mm;
    }
    this.vaddr = vaddr;
    this.isAddressLost = false;
  }

  /** Linux: vfio_pin_pages_remote. */
  #pin(task: Task, frames: PhysicalMemory): void {
    const pages = Number(this.length) / PAGE_SIZE;
    const first = Number(this.vaddr);
    const list = makeFrameList(BATCH);
    for (let done = 0; done < pages;) {
      const at = first + done * PAGE_SIZE;
      list.end = 0;
      const count = this.#pinSome(at, Math.min(pages - done, BATCH), list);
      if (count === 0) {
        this.#addRun(this.#devicePfn(at), 1, true);
        done++;
        continue;
      }
      try {
        charge(task, count);
        this.#locked += count;
      } catch (error) {
        frames.unpinRuns(list, 0, list.end);
        throw error;
      }
      for (let run = 0; run < list.end; run++) {
        this.#addRun(list.pfns[run]!, list.npfns[run]!, false);
      }
      done += count;
    }
  }

  /** Pins up to `wanted` pages; 0 where memory cannot be pinned, as a device's. */
  #pinSome(at: number, wanted: number, list: FrameList): number {
    const write = this.#prot & IOMMU_WRITE ? FOLL_WRITE : 0;
    try {
      return this.#mm.pinUserPages(at, wanted, write | FOLL_LONGTERM, list);
    } catch (error) {
      if (EFAULT.is(error)) return 0;
      throw error;
    }
  }

  /** A page of a BAR that is mapped (Linux: follow_fault_pfn). */
  #devicePfn(at: number): number {
    const write = (this.#prot & IOMMU_WRITE) !== 0;
    const paddr = this.#mm.devicePage?.(at, write);
    if (paddr === undefined) throw EFAULT;
    return paddr / PAGE_SIZE;
  }

  #addRun(pfn: number, count: number, isDevice: boolean): void {
    const last = this.#runs.at(-1);
    if (last?.isDevice === isDevice && last.pfn + last.count === pfn) {
      last.count += count;
    } else this.#runs.push({ pfn, count, isDevice });
  }
}

/** Charges the caller for pages. Throws ENOMEM above RLIMIT_MEMLOCK, without CAP_IPC_LOCK. (Linux: mm_lock_acct.) */
function charge(task: Task, pages: number): void {
  const { mm } = task;
  const limit = task.rlimit(RLIMIT_MEMLOCK) / BigInt(PAGE_SIZE);
  if (!task.capable(CAP_IPC_LOCK) && BigInt(mm.lockedVm + pages) > limit) {
    throw ENOMEM.because("RLIMIT_MEMLOCK is exceeded");
  }
  mm.lockedVm += pages;
}
