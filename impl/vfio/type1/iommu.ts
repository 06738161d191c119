// SPDX-License-Identifier: GPL-2.0-only

/**
 * The type1 IOMMU: one page table for all groups of a container, filled when
 * memory is mapped.
 *
 * Linux has a page table for each kind of IOMMU in a container; here all VFIO
 * devices are behind the same kind, so there is one, which the first group
 * brings. Linux: drivers/vfio/vfio_iommu_type1.c.
 *
 * @module
 */

import { attachGroup, detachGroup } from "../../iommu/attach.ts";
import type { Domain } from "../../iommu/domain.ts";
import type { Group } from "../../iommu/group.ts";
import { pagingDomainAlloc } from "../../iommu/group_domain.ts";
import { groupHasIsolatedMsi } from "../../iommu/msi.ts";
import { getGroupResvRegions } from "../../iommu/resv.ts";
import type { IommufdOptions } from "../../iommufd/kernel.ts";
import type { PhysicalMemory } from "../../kernel/interfaces/physical_memory.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import { IntervalTree } from "../../lib/interval_tree.ts";
import { U64_MAX } from "../../lib/u64.ts";
import {
  EBUSY,
  EEXIST,
  EINVAL,
  ENOENT,
  ENOSPC,
  EOVERFLOW,
  EPERM,
} from "../../uapi/errno.ts";
import type { Revision } from "../../uapi/revision.ts";
import { Dma, type DmaRange } from "./dma.ts";

/** A range of IOVA. */
export interface IovaRange {
  /** First. */
  readonly start: bigint;
  /** Last. */
  readonly last: bigint;
}

/** Mappings that one container can have (Linux: dma_entry_limit). */
const DMA_ENTRY_LIMIT = 65535;

/** What a range is, that may be looked for. */
interface Range {
  readonly iova: bigint;
  readonly length: bigint;
}

/** The page table and what is in it. */
export class Type1Iommu {
  /** Whether an unmap may not cut a mapping (version 2). */
  readonly isV2: boolean;
  /** The page table. */
  readonly domain: Domain;
  /** IOVA that can be mapped. */
  readonly ranges: readonly IovaRange[];
  /** How many more mappings there may be. */
  available: number = DMA_ENTRY_LIMIT;
  /** Whether what is written is noted. */
  tracksDirty = false;
  /** The mappings. */
  readonly mappings: IntervalTree<bigint, Dma> = new IntervalTree<
    bigint,
    Dma
  >();
  readonly #frames: PhysicalMemory;
  readonly #differences: Revision["vfio"];
  #lost = 0;

  /** With a page table that fits a group, which is not attached yet. */
  constructor(group: Group, isV2: boolean) {
    this.isV2 = isV2;
    this.#frames = group.iommu.kernel.frames;
    this.#differences = group.iommu.kernel.revision.vfio;
    this.domain = pagingDomainAlloc(group.firstDevice);
    this.ranges = rangesOf(group, this.domain);
  }

  /** Bytes of the smallest page. */
  get pageSize(): bigint {
    return BigInt(this.domain.pageSizes[0]!);
  }

  /**
   * Attaches a group. Throws EBUSY while the address of memory is not known,
   * EPERM where interrupts are not isolated, and what attaching throws.
   */
  attach(group: Group, { allowUnsafeInterrupts }: IommufdOptions): void {
    if (this.#lost > 0) throw EBUSY.because("memory has no address for now");
    if (!allowUnsafeInterrupts && !groupHasIsolatedMsi(group)) {
      throw EPERM.because("the interrupts of the group are not isolated");
    }
    attachGroup(this.domain, group);
  }

  /** Detaches a group. */
  detach(group: Group): void {
    detachGroup(this.domain, group);
  }

  /** Unmaps all; no group is attached any more. */
  release(): void {
    for (const dma of this.mappings) this.#remove(dma);
    this.domain.free();
  }

  /**
   * Maps memory of the caller. Throws EINVAL, EOVERFLOW, EEXIST where something
   * is mapped, ENOSPC for one mapping too many, and as `Dma.map`. (Linux:
   * vfio_dma_do_map.)
   */
  map(task: Task, range: DmaRange): void {
    this.#checkMap(range);
    if (range.prot === 0) {
      throw EINVAL.because("the device could neither read nor write");
    }
    this.#checkAligned(range.length | range.iova | range.vaddr);
    const { iova, length } = range;
    const last = iova + length - 1n;
    if (this.mappings.first(iova, last) !== undefined) {
      throw EEXIST.because("something is mapped in the range");
    }
    if (this.available === 0) throw ENOSPC.because("there are 65535 mappings");
    const isValid = this.ranges.some((valid) =>
      iova >= valid.start && last <= valid.last
    );
    if (!isValid) throw EINVAL.because("the IOVA cannot be mapped");
    const dma = new Dma(task, range);
    dma.map(task, this.#frames, this.domain);
    this.mappings.insert(dma);
    this.available--;
  }

  /** Gives memory an address again. Throws ENOENT, EINVAL, ENOMEM. */
  changeAddress(task: Task, range: DmaRange): void {
    this.#checkMap(range);
    if (range.prot !== 0) throw EINVAL.because("VADDR comes without rights");
    this.#checkAligned(range.length | range.iova | range.vaddr);
    const { iova, length, vaddr } = range;
    const dma = this.mappings.first(iova, iova + length - 1n);
    if (dma === undefined) throw ENOENT.because("nothing is mapped there");
    if (!dma.isAddressLost || dma.start !== iova || dma.length !== length) {
      throw EINVAL.because("the mapping is another, or has its address");
    }
    dma.move(task, vaddr);
    this.#lost--;
  }

  /**
   * Unmaps what is in a range; returns how many bytes. Throws EINVAL, of version
   * 2 also for a range that cuts a mapping; EOVERFLOW; what `before` throws, who
   * is told of each mapping before it goes. (Linux: vfio_dma_do_unmap.)
   */
  unmap(
    range: Range | undefined,
    before: (dma: Dma) => void = () => {},
  ): bigint {
    let unmapped = 0n;
    for (const dma of this.#found(range)) {
      before(dma);
      unmapped += dma.length;
      this.#remove(dma);
    }
    return unmapped;
  }

  /** The memory in a range has no address for a while; returns how many bytes. Throws as {@link unmap}, and EINVAL for what has none already. */
  loseAddresses(range: Range | undefined): bigint {
    const found = this.#found(range);
    if (found.some((dma) => dma.isAddressLost)) {
      throw EINVAL.because("memory in the range has no address already");
    }
    for (const dma of found) dma.isAddressLost = true;
    this.#lost += found.length;
    return found.reduce((sum, dma) => sum + dma.length, 0n);
  }

  /** The mappings in a range that cuts none. Throws EINVAL. */
  uncut({ iova, length }: Range): Dma[] {
    const last = iova + length - 1n;
    const first = this.mappings.first(iova, iova);
    const end = this.mappings.first(last, last);
    if ((first && first.start !== iova) || (end && end.last !== last)) {
      throw EINVAL.because("the range cuts a mapping");
    }
    return this.#within(iova, last);
  }

  /** Throws EINVAL for what is not of whole pages. */
  #checkAligned(bits: bigint): void {
    if (bits % this.pageSize !== 0n) {
      throw EINVAL.because("addresses and length are not of whole pages");
    }
  }

  #checkMap({ iova, length, vaddr }: DmaRange): void {
    if (length === 0n) throw EINVAL.because("the length is 0");
    this.#checkEnd(iova + length - 1n);
    this.#checkEnd(vaddr + length - 1n);
  }

  /** Throws EOVERFLOW, or EINVAL, for the last byte of a bitmap's range that cannot be. */
  checkBitmapEnd(last: bigint): void {
    this.#checkEnd(this.#differences.type1SaysOverflow ? last : last + 1n);
  }

  /** Throws EOVERFLOW, or EINVAL, for a last byte beyond 2^64. */
  #checkEnd(last: bigint): void {
    if (last <= U64_MAX) return;
    const { type1SaysOverflow } = this.#differences;
    const errno = type1SaysOverflow ? EOVERFLOW : EINVAL;
    throw errno.because("the range ends beyond 2^64");
  }

  /** Throws EINVAL for a range that is empty or not of whole pages, EOVERFLOW or EINVAL for one that ends beyond 2^64. */
  checkUnmap({ iova, length }: Range): void {
    this.#checkAligned(iova);
    if (length === 0n) throw EINVAL.because("the length is 0");
    this.#checkAligned(length);
    this.#checkEnd(iova + length - 1n);
  }

  /** What an unmap of a range, or of all, is about. */
  #found(range: Range | undefined): Dma[] {
    if (range === undefined) return [...this.mappings];
    const { iova, length } = range;
    this.checkUnmap(range);
    const last = iova + length - 1n;
    if (this.isV2) return this.uncut(range);
    // Of version 1 a mapping goes as a whole, if the range has its beginning.
    const found = this.#within(iova, last);
    return found[0] !== undefined && found[0].start < iova ? [] : found;
  }

  #within(first: bigint, last: bigint): Dma[] {
    const found: Dma[] = [];
    let dma = this.mappings.first(first, last);
    for (; dma !== undefined; dma = this.mappings.next(dma, first, last)) {
      found.push(dma);
    }
    return found;
  }

  #remove(dma: Dma): void {
    this.mappings.remove(dma);
    dma.unmap(this.#frames, this.domain);
    if (dma.isAddressLost) this.#lost--;
    this.available++;
  }
}

/** What of a domain's IOVA is not reserved for the group. */
function rangesOf(group: Group, domain: Domain): IovaRange[] {
  const ranges: IovaRange[] = [];
  let start = domain.apertureStart;
  for (const region of getGroupResvRegions(group)) {
    if (region.type === "direct-relaxable") continue;
    if (region.start > start) ranges.push({ start, last: region.start - 1n });
    start = region.start + region.length;
  }
  ranges.push({ start, last: domain.apertureEnd });
  return ranges;
}
