// SPDX-License-Identifier: GPL-2.0-only

/**
 * A batch: a short list of runs of contiguous frames, on their way from one
 * place to another. Linux: pages.c, struct pfn_batch.
 *
 * What moves in one step is bounded by the temporary memory limit of the
 * kernel, which the selftests lower to make every path run in many steps.
 *
 * @module
 */

import type { Domain } from "../../iommu/domain.ts";
import { iommuMap, iommuUnmap } from "../../iommu/map.ts";
import type { KernelCore } from "../../kernel/core.ts";
import { partOf } from "../../lib/bytes.ts";
import { KernelBug } from "../../lib/kernel_bug.ts";
import { EINVAL } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import {
  type Iova,
  min,
  type PageIndex,
  type Pfn,
  plus,
} from "../../lib/brands.ts";
import { addFrames, addRuns, type FrameList } from "../../lib/frame_list.ts";
import type { IoptArea } from "./area.ts";
import type { IoptPages } from "./pages.ts";

/** Bytes of one run in Linux's batch: a u64 frame number and a u32 count. */
export const BATCH_ELEMENT_SIZE = 12;
/** A path that must not fail keeps a batch of this many bytes on the stack. */
const BACKUP_SIZE = 256;
/** Frames that are read from the store at a time. */
const READ_CHUNK = 512;
/** Bytes that Linux can allocate in one piece: above, an attempt fails. */
const KMALLOC_MAX_SIZE = 4 * 1024 * 1024;

/**
 * Elements of `size` bytes that a temporary buffer holds when `wanted` are
 * asked for: no more than the limit allows, and one page of them if that much
 * cannot be had. Throws ENOMEM by fault injection; EINVAL if the limit is below
 * one element, as only a revision accepts with which Linux would loop then.
 * Linux: temp_kmalloc without a backup.
 */
export function tempAlloc(
  kernel: KernelCore,
  wanted: number,
  size: number,
): number {
  kernel.step("batch.alloc");
  const elements = Math.floor(allocOrPage(kernel, wanted * size) / size);
  if (elements === 0) {
    throw EINVAL.because("the temporary memory limit is below one element");
  }
  return elements;
}

function allocOrPage(kernel: KernelCore, wanted: number): number {
  const bytes = Math.min(wanted, kernel.tempMemoryLimit);
  return kernel.fails("batch.large") || bytes > KMALLOC_MAX_SIZE
    ? PAGE_SIZE
    : bytes;
}

/**
 * Runs of contiguous frames, in the order of their page indexes. It has room
 * for some once {@link alloc} or {@link allocNofail} made it, as often as one
 * likes. Whoever creates one disposes it.
 */
export class PfnBatch implements Disposable {
  /** Runs in the batch. */
  end = 0;
  /** Pages in the batch. */
  totalPfns = 0;
  /** First frame of each run. */
  pfns: Int32Array;
  /** Frames in each run. */
  npfns: Int32Array;
  /** Runs that fit. */
  capacity = 0;
  readonly #kernel: KernelCore;
  /** Whether a driver said some of the frames. */
  #fromDriver = false;
  /** Where frames are read to before they become runs; made when needed. */
  #chunk: Int32Array | undefined;

  /** Room for nothing. */
  constructor(kernel: KernelCore) {
    this.#kernel = kernel;
    this.pfns = kernel.tempBuffers.take(0);
    this.npfns = kernel.tempBuffers.take(0);
  }

  /** Frees the batch; it must not be used again (Linux: batch_destroy). */
  [Symbol.dispose](): void {
    const { tempBuffers } = this.#kernel;
    tempBuffers.give(this.pfns);
    tempBuffers.give(this.npfns);
    if (this.#chunk) tempBuffers.give(this.#chunk);
  }

  /** Empties the batch, and makes it one for up to `maxPages` pages. Throws as {@link tempAlloc}. */
  alloc(maxPages: number): void {
    this.#makeRoom(tempAlloc(this.#kernel, maxPages, BATCH_ELEMENT_SIZE));
  }

  /**
   * The same for a path that must not fail: a small batch needs no allocation,
   * and one run fits whatever the limit is. Linux: batch_init_backup.
   */
  allocNofail(maxPages: number): void {
    const wanted = maxPages * BATCH_ELEMENT_SIZE;
    const bytes = wanted < BACKUP_SIZE
      ? wanted
      : allocOrPage(this.#kernel, wanted);
    const runs = Math.floor(bytes / BATCH_ELEMENT_SIZE);
    this.#makeRoom(Math.max(runs, 1));
  }

  #makeRoom(runs: number): void {
    this.clear();
    this.#fromDriver = false;
    this.capacity = runs;
    if (runs <= this.pfns.length) return;
    const { tempBuffers } = this.#kernel;
    tempBuffers.give(this.pfns);
    tempBuffers.give(this.npfns);
    this.pfns = tempBuffers.take(runs);
    this.npfns = tempBuffers.take(runs);
  }

  /** Empties the batch. */
  clear(): void {
    this.end = 0;
    this.totalPfns = 0;
  }

  /** Keeps only the last `keep` pages, all of the last run (Linux: batch_clear_carry). */
  clearCarry(keep: number): void {
    if (keep === 0) return this.clear();
    const { pfns, npfns } = this;
    const tail = this.end - 1;
    this.#kernel.warnings.on(
      this.end === 0 || npfns[tail]! < keep,
      "batch_clear_carry: more kept than the last run has",
    );
    pfns[0] = pfns[tail]! + npfns[tail]! - keep;
    npfns[0] = keep;
    this.totalPfns = keep;
    this.end = 1;
  }

  /** Drops up to `skip` pages of a carried run (Linux: batch_skip_carry). */
  skipCarry(skip: number): void {
    if (this.totalPfns === 0) return;
    const { pfns, npfns } = this;
    this.#kernel.warnings.on(
      this.totalPfns !== npfns[0],
      "batch_skip_carry: not a single run",
    );
    const skipped = Math.min(this.totalPfns, skip);
    pfns[0]! += skipped;
    npfns[0]! -= skipped;
    this.totalPfns -= skipped;
  }

  /** Adds the runs of a list from number `first` on as long as they fit; returns how many did. */
  addRuns(list: FrameList, first: number): number {
    const added = addRuns(this, this.capacity, list, first);
    let npages = 0;
    for (let i = first; i < first + added; i++) npages += list.npfns[i]!;
    this.totalPfns += npages;
    return added;
  }

  /** Adds frames `from[at]` to `from[end - 1]` as long as they fit; returns how many did. */
  add(from: Int32Array, at: number, end: number): number {
    const added = addFrames(this, this.capacity, from, at, end);
    this.totalPfns += added;
    return added;
  }

  /** Makes an empty batch one run of `npages` frames from `pfn` on (Linux: batch_add_pfn_num). */
  setRun(pfn: number, npages: number): void {
    this.pfns[0] = pfn;
    this.npfns[0] = npages;
    this.end = 1;
    this.totalPfns = npages;
  }

  /**
   * Adds the frames that `domain` maps for the pages `start` to `last` of
   * `area`, until the batch is full (Linux: batch_from_domain). With
   * `maxRuns` = {@link end}, only what continues the last run (Linux:
   * batch_from_domain_continue).
   */
  fromDomain(
    domain: Domain,
    area: IoptArea,
    start: PageIndex,
    last: PageIndex,
    maxRuns = this.capacity,
  ): void {
    this.#fromDriver = true;
    let index = start;
    // The first page's IOVA may lie inside it; the driver goes on in whole pages from there.
    if (index === area.index && area.pageOffset !== 0) {
      const iova = area.indexToIova(index);
      const added = domain.readRuns(iova, 1, this, maxRuns);
      this.totalPfns += added;
      index = plus(index, 1);
      if (added === 0 || index > last) return;
    }
    const iova = area.indexToIova(index);
    this.totalPfns += domain.readRuns(iova, last - index + 1, this, maxRuns);
  }

  /** Adds the stored frames of the pages `start` to `last`, until full (Linux: batch_from_xarray). */
  fromStore(pages: IoptPages, start: PageIndex, last: PageIndex): void {
    const chunk = this.#chunk ??= this.#kernel.tempBuffers.take(READ_CHUNK);
    let index = start;
    while (index <= last) {
      const npages = Math.min(last - index + 1, READ_CHUNK);
      readStoredPfns(pages, index, npages, chunk, 0);
      const added = this.add(chunk, 0, npages);
      if (added < npages) return;
      index = plus(index, npages);
    }
  }

  /** As `fromStore`, and takes what was added out of the store (Linux: batch_from_xarray_clear). */
  fromStoreClear(pages: IoptPages, start: PageIndex, last: PageIndex): void {
    const before = this.totalPfns;
    this.fromStore(pages, start, last);
    const added = this.totalPfns - before;
    if (added > 0) pages.pinnedPfns.clearRange(start, start + added - 1);
  }

  /**
   * Maps the batch into `domain`, one call to the driver for each run, page
   * `start` of the area first. Throws what the driver throws, with what this
   * call mapped unmapped again. Linux: batch_to_domain.
   */
  toDomain(domain: Domain, area: IoptArea, start: PageIndex): void {
    const { pfns, npfns, end } = this;
    const small = area.iopt.disableLargePages;
    const areaEnd = area.indexToIovaEnd(area.lastIndex);
    const startIova = area.indexToIova(start);
    const batchEnd = start + this.totalPfns - 1;
    // Only the first and the last run of an area may be parts of pages.
    const tail = batchEnd === area.lastIndex ? end - 1 : end;
    let pageOffset = start === area.index ? area.pageOffset : 0;
    let iova = startIova;
    try {
      for (let cur = 0; cur < end;) {
        if (!small && pageOffset === 0 && cur + 1 < tail) {
          iova = domain.mapRuns(iova, this, cur, tail, area.prot);
          cur = tail;
          continue;
        }
        const size = npfns[cur]! * PAGE_SIZE - pageOffset;
        const next = min(areaEnd, plus(iova, size));
        const paddr = pfns[cur]! * PAGE_SIZE + pageOffset;
        if (small) domain.mapSmall(iova, paddr, next - iova, area.prot);
        else iommuMap(domain, iova, paddr, next - iova, area.prot);
        iova = next;
        pageOffset = 0;
        cur++;
      }
    } catch (error) {
      if (iova !== startIova) {
        iommuUnmapNofail(domain, startIova, iova - startIova);
      }
      throw error;
    }
  }

  /**
   * Unpins `npages` pages of the batch from the `first`th on (Linux:
   * batch_unpin).
   */
  unpin(pages: IoptPages, first: number, npages: number): void {
    try {
      this.#unpin(pages, first, npages);
    } catch (error) {
      if (!(error instanceof KernelBug) || !this.#fromDriver) throw error;
      throw new KernelBug(
        "An IOMMU driver's iovaToPhys() or readPfns() gave other frames than " +
          `it was told to map: ${error.message}`,
      );
    }
  }

  #unpin(pages: IoptPages, first: number, npages: number): void {
    const { pfns, npfns, end } = this;
    const { frames } = pages.kernel;
    let cur = 0;
    let skip = first;
    let left = npages;
    while (skip > 0 && npfns[cur]! <= skip) skip -= npfns[cur++]!;
    if (skip > 0) {
      const head = Math.min(left, npfns[cur]! - skip);
      frames.unpinRange(pfns[cur++]! + skip as Pfn, head);
      left -= head;
    }
    const whole = cur;
    while (cur < end && npfns[cur]! <= left) left -= npfns[cur++]!;
    frames.unpinRuns(this, whole, cur);
    if (left > 0) frames.unpinRange(pfns[cur]! as Pfn, left);
    pages.subNpinned(npages);
  }

  /**
   * Copies between `data` and the pages of the batch, from byte `offset` of
   * its first page on; returns bytes copied (Linux: batch_rw).
   */
  rw(data: Uint8Array, offset: number, write: boolean): number {
    const { frames } = this.#kernel;
    const { pfns, npfns, end } = this;
    let copied = 0;
    let at = offset;
    for (let cur = 0; cur < end && copied < data.length; cur++) {
      const left = npfns[cur]! * PAGE_SIZE - at;
      const bytes = Math.min(data.length - copied, left);
      const part = partOf(data, copied, copied + bytes);
      if (write) frames.write(pfns[cur]! as Pfn, at, part);
      else frames.read(pfns[cur]! as Pfn, at, part);
      copied += bytes;
      at = 0;
    }
    return copied;
  }
}

/** Reads the frames that `domain` maps for `npages` pages of `area` from page `index` on. */
export function readDomainPfns(
  domain: Domain,
  area: IoptArea,
  index: PageIndex,
  npages: number,
  out: Int32Array,
  at: number,
): void {
  // The first page's IOVA may lie inside it; the driver goes on in whole pages from there.
  if (index === area.index && area.pageOffset !== 0) {
    domain.readPfns(area.indexToIova(index), 1, out, at);
    if (npages > 1) {
      const next = area.indexToIova(plus(index, 1));
      domain.readPfns(next, npages - 1, out, at + 1);
    }
    return;
  }
  domain.readPfns(area.indexToIova(index), npages, out, at);
}

/** Reads the stored frames of `npages` pages from page `index` on (Linux: iopt_pages_fill_from_xarray). */
export function readStoredPfns(
  pages: IoptPages,
  index: PageIndex,
  npages: number,
  out: Int32Array,
  at: number,
): void {
  const missing = pages.pinnedPfns.readInto(index, npages, out, at, -1);
  pages.kernel.warnings.on(missing > 0, "pinned_pfns: no frame at an index");
}

/** Unmaps; anything but exactly what was asked for is a bug of the driver or here. */
export function iommuUnmapNofail(
  domain: Domain,
  iova: Iova,
  size: number,
): void {
  const unmapped = iommuUnmap(domain, iova, size);
  if (unmapped === size) return;
  const at = `IOVA 0x${iova.toString(16)}`;
  domain.warnings.on(
    true,
    `iommu_unmap_nofail: ${unmapped} of ${size} bytes at ${at} unmapped`,
  );
}
