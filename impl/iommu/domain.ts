// SPDX-License-Identifier: GPL-2.0-only

/**
 * Domains: what an IOMMU translates with for the devices attached to it.
 *
 * @module
 */

import { EEXIST, EINVAL, ENODEV } from "../uapi/errno.ts";
import { type Iova, pfnOf } from "../lib/brands.ts";
import type { FrameRuns } from "../kernel/interfaces/physical_memory.ts";
import type { FrameList } from "../lib/frame_list.ts";
import { KernelBug, type Warnings } from "../kernel/warn.ts";
import type { Device, IommuOps } from "./device.ts";
import type { DmaFault } from "./hardware/dma.ts";
import type { IopfHandler } from "./page_fault.ts";
import type { DirtyBitmap, DirtyOps } from "./dirty.ts";
import { ByPages } from "./page_table/by_pages.ts";
import type { IoPage, IoPageTable } from "./page_table/page_table.ts";
import type { UserDataArray } from "./user_data.ts";

/** `prot`: the device may read. */
export const IOMMU_READ = 1 << 0;
/** `prot`: the device may write. */
export const IOMMU_WRITE = 1 << 1;
/** `prot`: DMA is cache coherent. */
export const IOMMU_CACHE = 1 << 2;
/** `prot`: it is memory of a device. */
export const IOMMU_MMIO = 1 << 4;

/** Last address of a 64-bit IOVA space. */
const IOVA_LAST = 2n ** 64n - 1n;

/** The smallest IO page must lie in this range of bytes: see {@link Domain.pageSizes}. */
const SMALLEST_PAGE = { min: 2 ** 11, max: 2 ** 30 };

/**
 * What a domain does with DMA (Linux: IOMMU_DOMAIN_UNMANAGED and _DMA are
 * "paging", then _NESTED, _BLOCKED, _IDENTITY).
 */
export type DomainType = "paging" | "nested" | "blocked" | "identity";

/** A window for MSI doorbells in a domain whose IOVA somebody else manages. */
export interface MsiCookie {
  /** Tells it from others. */
  readonly kind: "msi";
  /** Where it begins. */
  readonly base: bigint;
  /** What is mapped in it: the IOVA by the physical address, both of a page. */
  readonly doorbells: Map<number, Iova>;
}

/** Maps the doorbell of a device at a physical address; returns what the device must write to. See prepareMsi() of msi.ts. */
export type SwMsiHandler = (dev: Device, msiAddr: number) => number;

/**
 * What a domain's user keeps with it (Linux: enum iommu_domain_cookie_type):
 * "dma" makes it a domain of the DMA API; "msi" is a window for MSI doorbells;
 * "iommufd" means that iommufd is its user and maps them.
 */
export type DmaCookie =
  | { readonly kind: "dma" }
  | MsiCookie
  | { readonly kind: "iommufd"; readonly swMsi: SwMsiHandler };

/** What a driver says about a new domain. */
export interface DomainOptions {
  /** The driver whose domain it is: it attaches to devices behind that driver only. */
  readonly owner: IommuOps;
  /** The IO page sizes in bytes, one bit each; 0 (the default) for a domain that maps nothing. */
  readonly pgsizeBitmap?: bigint;
  /** First IOVA that can be mapped; 0 by default. */
  readonly apertureStart?: bigint;
  /** Last IOVA that can be mapped; 2^64-1 by default. */
  readonly apertureEnd?: bigint;
  /** What it translates with; by default what the driver's own class does page by page. */
  readonly pageTable?: IoPageTable;
  /** It can track what devices write; false by default. */
  readonly dirtyTracking?: boolean;
}

/**
 * A translation (Linux: struct iommu_domain with its iommu_domain_ops). A
 * driver extends it; a domain of type "paging" overrides {@link mapPages},
 * {@link unmapPages} and {@link iovaToPhys}, and {@link readPfns} or
 * {@link readRuns} for speed; or it brings an {@link IoPageTable} that does all
 * that, if its page table splits a range itself.
 * These are for the core to call: others use iommuMap(), iommuUnmap() and
 * iommuIovaToPhys(), which split requests into pages and unwind.
 *
 * Where pages are mapped, an IOVA is a plain number of bytes. It is exact up to
 * 2^64 because it is a multiple of the smallest page: see {@link pageSizes}.
 */
export abstract class Domain implements DirtyOps {
  /** What it does with DMA. */
  abstract readonly type: DomainType;
  /** Whether there are devices that it can be attached to (Linux: it has attach_dev). */
  readonly isAttachable: boolean = true;
  /** The driver that made it. */
  readonly owner: IommuOps;
  /** The IO page sizes in bytes, one bit each. */
  readonly pgsizeBitmap: bigint;
  /**
   * The same sizes as numbers, smallest first. The smallest is at least 2 KiB,
   * so that every multiple of it below 2^64 is exact in a number, and at most
   * 1 GiB.
   */
  readonly pageSizes: readonly number[];
  /** First IOVA that can be mapped. */
  readonly apertureStart: bigint;
  /** Last IOVA that can be mapped. */
  readonly apertureEnd: bigint;
  /** How to find out what devices wrote; undefined for a domain that cannot tell (Linux: dirty_ops). */
  readonly dirtyOps: DirtyOps | undefined;
  /** Decides about page faults of attached devices; set by the domain's user before it is attached. */
  iopfHandler: IopfHandler | undefined;
  readonly #pageTable: IoPageTable;
  #tracksDirty = false;
  #cookie: DmaCookie | undefined;

  /** Called by a driver's own class. */
  constructor(options: DomainOptions) {
    this.owner = options.owner;
    this.pgsizeBitmap = options.pgsizeBitmap ?? 0n;
    this.pageSizes = sizesOf(this.pgsizeBitmap);
    this.apertureStart = options.apertureStart ?? 0n;
    this.apertureEnd = options.apertureEnd ?? IOVA_LAST;
    this.#pageTable = options.pageTable ?? new ByPages(this);
    this.dirtyOps = options.dirtyTracking ? this : undefined;
  }

  /** The warnings of its kernel. */
  get warnings(): Warnings {
    return this.owner.iommu.kernel.warnings;
  }

  /** What its user keeps with it. */
  get cookie(): DmaCookie | undefined {
    return this.#cookie;
  }

  /** True for a default domain that the DMA API maps into (Linux: iommu_is_dma_domain). */
  get isDmaDomain(): boolean {
    return this.#cookie?.kind === "dma";
  }

  /**
   * Makes the hardware translate a device's DMA with this domain instead of
   * `old`, the one before, which is null for a device that is new. A driver of
   * devices that fault sees to {@link iopfHandler} here, with
   * `IopfQueue.changeDomain()`. Throws: EINVAL when device and domain do not
   * fit together (another domain may), ENOMEM, ENOSPC, EBUSY, ENODEV. After a
   * throw the device must still use `old`. (Linux: attach_dev.)
   */
  abstract attachDev(dev: Device, old: Domain | null): void;

  /**
   * The same for DMA that carries a PASID, without touching what the device
   * does without. `old` is the domain that the PASID had, null for none; for
   * the blocked domain, which must always succeed, it is the one that goes. A
   * driver that has it on one domain has it on all, the blocked one included.
   * (Linux: set_dev_pasid.)
   */
  setDevPasid?(dev: Device, pasid: number, old: Domain | null): void;

  /**
   * Maps `pgcount` pages of `pgsize` bytes, contiguous in IOVA and physical
   * memory, all aligned to `pgsize`. `prot` is `IOMMU_*` bits. Returns the
   * bytes mapped, at least one page; when they are fewer than asked the core
   * calls again for the rest. A call that throws has mapped nothing: a driver
   * that fails half-way returns what it has and throws at the next call.
   * (Linux: map_pages.)
   */
  mapPages(
    _iova: Iova,
    _paddr: number,
    _pgsize: number,
    _pgcount: number,
    _prot: number,
  ): number {
    this.warnings.on(true, "A paging domain does not implement mapPages");
    throw ENODEV.because("the domain cannot map (Domain.mapPages)");
  }

  /**
   * Maps `size` bytes of contiguous physical memory from `paddr` on. Throws
   * EINVAL when something is not aligned to the smallest page, and what the
   * driver throws, with nothing mapped. The general form calls
   * {@link mapPages} for pages of one size each; a driver whose page table
   * splits a range itself overrides it and is asked once.
   * (Linux: map_range of struct pt_iommu_ops.)
   */
  mapRange(iova: Iova, paddr: number, size: number, prot: number): void {
    this.#pageTable.map(iova, paddr, size, prot);
  }

  /**
   * As {@link mapRange} of one CPU page after the other, so that any of them
   * can be unmapped alone later: type 1 of VFIO, version 1, promises that. A
   * driver that overrides it must leave the same IOPTEs behind.
   */
  mapSmall(iova: Iova, paddr: number, size: number, prot: number): void {
    this.#pageTable.mapSmall(iova, paddr, size, prot);
  }

  /**
   * Maps runs of contiguous frames, numbers `from` up to `to` exclusive of
   * `runs`, at consecutive IOVA; returns the IOVA after them. Throws what the
   * driver throws, with none of them mapped. The general form maps each run
   * with iommuMap(); a driver that overrides it must leave the same IOPTEs
   * behind. It exists because scattered memory is all short runs.
   */
  mapRuns(
    iova: Iova,
    runs: FrameRuns,
    from: number,
    to: number,
    prot: number,
  ): Iova {
    return this.#pageTable.mapRuns(iova, runs, from, to, prot);
  }

  /**
   * Unmaps `pgcount` pages of `pgsize` bytes. What is mapped there may have
   * smaller pages: the core chooses the size by alignment alone. Returns the
   * bytes unmapped; 0 means that there is nothing at `iova`.
   * (Linux: unmap_pages.)
   */
  unmapPages(_iova: Iova, _pgsize: number, _pgcount: number): number {
    this.warnings.on(true, "A paging domain does not implement unmapPages");
    return 0;
  }

  /**
   * Unmaps `size` bytes from `iova` on, up to the first hole; returns the bytes
   * unmapped, which are more where the range ends inside an entry that cannot
   * be cut. The general form calls {@link unmapPages}, as {@link mapRange}
   * does {@link mapPages}. (Linux: unmap_range of struct pt_iommu_ops.)
   */
  unmapRange(iova: Iova, size: number): number {
    return this.#pageTable.unmap(iova, size);
  }

  /** The physical address in bytes behind an IOVA, a multiple of the smallest page; 0 when not mapped (Linux: iova_to_phys). */
  iovaToPhys(iova: Iova): number {
    return this.#pageTable.lookup(iova) ?? 0;
  }

  /** What is mapped, in the order of IOVA: for a drawing. Nothing of a domain that does not tell. */
  ioPages(): readonly IoPage[] {
    return this.#pageTable.entries();
  }

  /**
   * Where DMA of a device at an IOVA, any number of bytes, goes: a physical
   * address in bytes; undefined where `access`, IOMMU_READ or IOMMU_WRITE, is
   * blocked. This is the hardware's part: {@link Device.dma} asks it. The
   * general form blocks what {@link iovaToPhys} does not find, and knows no
   * rights; a driver that keeps them, or notes what is written, overrides it,
   * and so does one with nested domains, which are blocked here. An identity
   * domain leads to memory that is pinned: the rest may be anybody's.
   */
  translate(iova: number, access: number): number | undefined {
    if (this.type === "identity") {
      const { frames } = this.owner.iommu.kernel;
      const pfn = pfnOf(iova);
      return pfn < frames.count && frames.pins(pfn) > 0 ? iova : undefined;
    }
    if (this.type !== "paging") return undefined;
    return this.#pageTable.translate(iova, access);
  }

  /** The hardware has blocked DMA of a device that it translates for. Drivers that tell somebody override it (Linux: the driver's interrupt for faults). */
  blocked(_dev: Device, _fault: DmaFault): void {}

  /**
   * Stores in `out`, from index `at` on, the frame numbers of `npages`
   * consecutive CPU pages; the first one begins at `iova`. This is how iommufd
   * gets back the frames that it mapped. The general form asks
   * {@link iovaToPhys} for each page; drivers do better.
   */
  readPfns(iova: Iova, npages: number, out: Int32Array, at: number): void {
    this.#pageTable.readPfns(iova, npages, out, at);
  }

  /**
   * Adds the frames of up to `npages` consecutive CPU pages, the first of which
   * begins at `iova`, to a list, until that has `maxRuns` runs and the next
   * frame does not go on with the last one. Returns how many. The general form
   * asks {@link readPfns}; a driver with large pages need not look at each CPU
   * page.
   */
  readRuns(
    iova: Iova,
    npages: number,
    list: FrameList,
    maxRuns: number,
  ): number {
    return this.#pageTable.readRuns(iova, npages, list, maxRuns);
  }

  /** Whether it notes what devices write. */
  get tracksDirty(): boolean {
    return this.#tracksDirty;
  }

  /** Begins to note what devices write, or ends: see {@link DirtyOps}. */
  setDirtyTracking(enable: boolean): void {
    this.#tracksDirty = enable;
  }

  /** Reports what devices wrote: see {@link DirtyOps}. A domain that tracks and brings no page table overrides it. */
  readAndClearDirty(
    iova: number,
    size: number,
    flags: number,
    dirty: DirtyBitmap,
  ): void {
    this.#pageTable.readDirty(iova, size, flags, dirty);
  }

  /**
   * From now on no DMA through the domain may bypass the cache. Returns false
   * if the attached devices do not allow that, which is what a domain without
   * this ability says. (Linux: enforce_cache_coherency.)
   */
  enforceCacheCoherency(): boolean {
    return false;
  }

  /**
   * Sets aside a window for MSI doorbells that begins at IOVA `base`. Throws
   * EINVAL for a domain that is not managed by its user, EEXIST when it has a
   * cookie already. (Linux: iommu_get_msi_cookie.)
   */
  getMsiCookie(base: bigint): void {
    if (this.type !== "paging" || this.isDmaDomain) throw EINVAL;
    if (this.#cookie !== undefined) throw EEXIST;
    this.owner.iommu.kernel.step("domain.cookie");
    this.#cookie = { kind: "msi", base, doorbells: new Map() };
  }

  /** Makes it a domain of iommufd's, which maps MSI doorbells itself (Linux: IOMMU_COOKIE_IOMMUFD). */
  getIommufdCookie(swMsi: SwMsiHandler): void {
    this.#cookie = { kind: "iommufd", swMsi };
  }

  /**
   * Makes it a domain of the DMA API; the core does this for default domains.
   * Throws EEXIST when it has a cookie already. (Linux: iommu_get_dma_cookie.)
   */
  getDmaCookie(): void {
    if (this.#cookie !== undefined) throw EEXIST;
    this.owner.iommu.kernel.step("domain.cookie");
    this.#cookie = { kind: "dma" };
  }

  /**
   * Only for a domain of type "nested": user space changed its page table and
   * names what the hardware must forget. The driver reads
   * the entries with copyStructFromUserArray() of user_data.ts, carries them
   * out in order and counts each one in `array.handled`. Throws EINVAL for a
   * type that it does not know, also when there are no entries; EOPNOTSUPP or
   * EINVAL for an entry that it cannot carry out; EFAULT.
   * (Linux: cache_invalidate_user.)
   */
  cacheInvalidateUser?(array: UserDataArray): void;

  /** Releases what the driver holds for it; nothing is attached any more (Linux: iommu_domain_free). */
  free(): void {
    this.#pageTable.free();
  }
}

/** The sizes of a bitmap, smallest first. */
function sizesOf(bitmap: bigint): readonly number[] {
  const sizes: number[] = [];
  for (let bit = 0n; bitmap >> bit !== 0n; bit++) {
    if ((bitmap >> bit) & 1n) sizes.push(2 ** Number(bit));
  }
  const smallest = sizes[0] ?? SMALLEST_PAGE.min;
  if (smallest < SMALLEST_PAGE.min || smallest > SMALLEST_PAGE.max) {
    throw new KernelBug(
      `The smallest IO page of a domain must have 2 KiB to 1 GiB, not ${smallest} bytes`,
    );
  }
  return Object.freeze(sizes);
}
