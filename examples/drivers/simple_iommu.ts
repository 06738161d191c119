// SPDX-License-Identifier: GPL-2.0-only

/**
 * A driver for an IOMMU that does not exist, to copy from: all that iommufd
 * can use of one, and no more. Its hardware
 *
 * - translates 39 bits of IOVA with pages of 4 KiB and 2 MiB;
 * - nests: a device may go through a table of user space's first, whose output
 *   is an IOVA of the domain below. It caches what it reads there;
 * - notes in its page table which pages were written;
 * - passes on what a device asks for that is not mapped there yet;
 * - has a translation for each address space that a device numbers (PASID);
 * - tells what it can do.
 *
 * {@link SimpleDevice} plays a device behind it, so that DMA can be watched.
 * The test beside this file shows how user space sees it all.
 *
 * @module
 */

import {
  copyStructFromUser,
  copyStructFromUserArray,
  Device,
  type DirtyBitmap,
  Dma,
  DmaFault,
  Domain,
  EINVAL,
  EOPNOTSUPP,
  type Group,
  type HwInfo,
  type Iommu,
  IOMMU_DIRTY_NO_CLEAR,
  IOMMU_HW_INFO_TYPE_NONE,
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_NO_PASID,
  IOMMU_READ,
  IOMMU_WRITE,
  type IommuCap,
  type IommuOps,
  IopfQueue,
  PAGE_SIZE,
  type PageRequest,
  type PageResponse,
  probeDevice,
  type ResvRegion,
  type Struct,
  struct,
  u32,
  u64,
  type UserData,
  type UserDataArray,
} from "@iommufd/kit";

// What the driver and its users agree on.

/** The type of {@link SimpleHwInfo}, {@link SimpleStage1} and {@link SimpleInvalidate}. */
export const SIMPLE_IOMMU = 0x51;

/** Hardware information. */
export interface SimpleHwInfo {
  /** Bits of an address that a {@link SimpleStage1} table translates. */
  inputBits: number;
  /** Bits of an IOVA. */
  outputBits: number;
}

/** Layout of {@link SimpleHwInfo}. */
export const SimpleHwInfo: Struct<SimpleHwInfo> = struct("simple_hw_info", {
  inputBits: u32(),
  outputBits: u32(),
});

/**
 * What a nested HWPT is allocated with: a table of 512 entries of 8 bytes, one
 * for each page of 4 KiB. An entry is the IOVA of a page, and `STAGE1_*` bits.
 */
export interface SimpleStage1 {
  /** Must be 0. */
  flags: number;
  /** Must be 0. */
  reserved: number;
  /** Where the table is: the IOVA of a page of the parent. */
  table: bigint;
}

/** Layout of {@link SimpleStage1}. */
export const SimpleStage1: Struct<SimpleStage1> = struct("simple_stage1", {
  flags: u32(),
  reserved: u32(),
  table: u64(),
});

/** Table entry: it maps a page. */
export const STAGE1_VALID = 1n << 0n;
/** Table entry: the page may be written. */
export const STAGE1_WRITE = 1n << 1n;

/** One request of an invalidation. */
export interface SimpleInvalidate {
  /** INVALIDATE_ALL or 0. */
  flags: number;
  /** Must be 0. */
  reserved: number;
  /** An address in the page that changed. */
  addr: bigint;
}

/** Layout of {@link SimpleInvalidate}. */
export const SimpleInvalidate: Struct<SimpleInvalidate> = struct(
  "simple_invalidate",
  { flags: u32(), reserved: u32(), addr: u64() },
);

/** Everything that the table maps changed. */
export const INVALIDATE_ALL = 1 << 0;

// The hardware.

const LARGE = 2 ** 21;
const TABLE_ENTRIES = LARGE / PAGE_SIZE;
const OUTPUT_BITS = 39;
const PASID_BITS = 8;

/** An entry of the page table: frame number, written, present, and IOMMU_READ and IOMMU_WRITE. */
const FRAME_SHIFT = 4;
const DIRTY = 1 << 3;
const PRESENT = 1 << 2;
const ACCESS = IOMMU_READ | IOMMU_WRITE;

/** Anything that decides where DMA goes. */
abstract class Translation extends Domain {
  /** Points the hardware at this domain. */
  override attachDev(dev: Device, old: Domain | null): void {
    this.setDevPasid(dev, IOMMU_NO_PASID, old);
  }

  /** The same for DMA with a PASID. */
  override setDevPasid(dev: Device, _pasid: number, old: Domain | null): void {
    if (!(dev instanceof SimpleDevice)) throw EINVAL;
    dev.driver.faults.changeDomain(dev, this, old);
  }
}

/** Lets nothing through. */
class BlockedDomain extends Translation {
  override readonly type = "blocked";
}

/** The page table of an IOAS. */
export class SimpleDomain extends Translation {
  override readonly type = "paging";
  /** For each 2 MiB the entry of a large page or a table of small ones. */
  readonly #slots = new Map<number, number | Int32Array>();

  /** An empty page table, which can note what is written if `dirtyTracking`. */
  constructor(owner: IommuOps, dirtyTracking: boolean) {
    super({
      owner,
      dirtyTracking,
      pgsizeBitmap: BigInt(PAGE_SIZE | LARGE),
      apertureEnd: 2n ** BigInt(OUTPUT_BITS) - 1n,
    });
  }

  override mapPages(
    iova: number,
    paddr: number,
    pgsize: number,
    pgcount: number,
    prot: number,
  ): number {
    const entry = (paddr / PAGE_SIZE) << FRAME_SHIFT | PRESENT | prot & ACCESS;
    const slot = Math.floor(iova / LARGE);
    if (pgsize === LARGE) {
      for (let i = 0; i < pgcount; i++) {
        this.#slots.set(slot + i, entry + (i * TABLE_ENTRIES << FRAME_SHIFT));
      }
      return pgcount * LARGE;
    }
    // One table at a time: the core calls again for the rest.
    const table = this.#tableFor(slot);
    const first = iova % LARGE / PAGE_SIZE;
    const count = Math.min(pgcount, TABLE_ENTRIES - first);
    for (let i = 0; i < count; i++) {
      table[first + i] = entry + (i << FRAME_SHIFT);
    }
    return count * PAGE_SIZE;
  }

  #tableFor(slot: number): Int32Array {
    const found = this.#slots.get(slot);
    if (found instanceof Int32Array) return found;
    this.owner.iommu.kernel.step("driver.alloc");
    const table = new Int32Array(TABLE_ENTRIES);
    this.#slots.set(slot, table);
    return table;
  }

  override unmapPages(iova: number, pgsize: number, pgcount: number): number {
    const end = iova + pgsize * pgcount;
    let at = iova;
    while (at < end) {
      const slot = Math.floor(at / LARGE);
      const found = this.#slots.get(slot);
      if (found === undefined) break;
      const next = Math.min(end, (slot + 1) * LARGE);
      // The core only ever asks for all of what it mapped as one page.
      if (typeof found === "number" || next - at === LARGE) {
        this.#slots.delete(slot);
      } else {
        found.fill(
          0,
          at % LARGE / PAGE_SIZE,
          (next - slot * LARGE) / PAGE_SIZE,
        );
      }
      at = next;
    }
    return at - iova;
  }

  override iovaToPhys(iova: number): number {
    return this.translate(iova, 0) ?? 0;
  }

  override translate(iova: number, access: number): number | undefined {
    const found = this.#slots.get(Math.floor(iova / LARGE));
    if (found === undefined) return undefined;
    const large = typeof found === "number";
    const offset = iova % LARGE;
    const index = Math.floor(offset / PAGE_SIZE);
    const entry = large ? found : found[index]!;
    if ((entry & PRESENT) === 0 || (entry & access) !== access) {
      return undefined;
    }
    if (this.tracksDirty && access & IOMMU_WRITE) {
      if (large) this.#slots.set(Math.floor(iova / LARGE), entry | DIRTY);
      else found[index] = entry | DIRTY;
    }
    const frame = (entry >>> FRAME_SHIFT) * PAGE_SIZE;
    return frame + (large ? offset : iova % PAGE_SIZE);
  }

  override readAndClearDirty(
    iova: number,
    size: number,
    flags: number,
    dirty: DirtyBitmap,
  ): void {
    if (!this.tracksDirty && dirty.isRecording) throw EINVAL;
    const clears = (flags & IOMMU_DIRTY_NO_CLEAR) === 0;
    const end = iova + size;
    for (let at = iova, next; at < end; at = next) {
      const slot = Math.floor(at / LARGE);
      next = Math.min(end, (slot + 1) * LARGE);
      const found = this.#slots.get(slot);
      if (found instanceof Int32Array) {
        collectSmall(found, at, next, clears, dirty);
      } else if (found !== undefined && found & DIRTY) {
        // Asked for a part, it keeps the bit: the rest was not reported.
        const whole = next - at === LARGE;
        if (clears && whole) this.#slots.set(slot, found & ~DIRTY);
        dirty.record(at, PAGE_SIZE, (next - at) / PAGE_SIZE);
      }
    }
  }

  override free(): void {
    this.#slots.clear();
  }
}

/** Reports the dirty pages of a table between two IOVAs. */
function collectSmall(
  table: Int32Array,
  iova: number,
  end: number,
  clears: boolean,
  dirty: DirtyBitmap,
): void {
  for (let at = iova; at < end; at += PAGE_SIZE) {
    const index = at % LARGE / PAGE_SIZE;
    const entry = table[index]!;
    if ((entry & DIRTY) === 0) continue;
    if (clears) table[index] = entry & ~DIRTY;
    dirty.record(at, PAGE_SIZE);
  }
}

/** A table of user space's in front of a page table of the kernel's. */
export class SimpleNestedDomain extends Translation {
  override readonly type = "nested";
  readonly #parent: SimpleDomain;
  /** How the hardware reads the table. */
  readonly #tables: Dma;
  readonly #table: number;
  /** Entries that the hardware has read, by page number. */
  readonly #cache = new Map<number, bigint>();

  /** Throws EINVAL for data that make no sense. */
  constructor(parent: SimpleDomain, data: SimpleStage1) {
    super({ owner: parent.owner });
    const { table } = data;
    if (table % BigInt(PAGE_SIZE) || table > parent.apertureEnd) throw EINVAL;
    this.#parent = parent;
    this.#tables = Dma.through(parent);
    this.#table = Number(table);
  }

  override translate(addr: number, access: number): number | undefined {
    const entry = this.#lookup(Math.floor(addr / PAGE_SIZE));
    if (!(entry & STAGE1_VALID)) return undefined;
    if (access & IOMMU_WRITE && !(entry & STAGE1_WRITE)) return undefined;
    const iova = Number(entry >> 12n) * PAGE_SIZE + addr % PAGE_SIZE;
    return this.#parent.translate(iova, access);
  }

  /** An entry of user space's table; it is not read again until user space says that it changed. */
  #lookup(page: number): bigint {
    const cached = this.#cache.get(page);
    if (cached !== undefined) return cached;
    if (page >= TABLE_ENTRIES) return 0n;
    const at = this.#table + page * 8;
    const data = new Uint8Array(8);
    if (!passes(() => this.#tables.read(at, data))) return 0n;
    const entry = new DataView(data.buffer).getBigUint64(0, true);
    if (entry & STAGE1_VALID) this.#cache.set(page, entry);
    return entry;
  }

  override cacheInvalidateUser(array: UserDataArray): void {
    if (array.type !== SIMPLE_IOMMU) throw EINVAL;
    for (let i = 0; i < array.entryNum; i++) {
      const { flags, reserved, addr } = copyStructFromUserArray(
        SimpleInvalidate,
        array,
        SIMPLE_IOMMU,
        i,
        "addr",
      );
      if (flags & ~INVALIDATE_ALL || reserved !== 0) throw EOPNOTSUPP;
      if (flags & INVALIDATE_ALL) this.#cache.clear();
      else this.forget(addr);
      array.handled++;
    }
  }

  /** The hardware reads the entry for an address again. */
  forget(addr: bigint): void {
    this.#cache.delete(Number(addr / BigInt(PAGE_SIZE)));
  }
}

/** The data of a nested HWPT. Throws EOPNOTSUPP for others, EINVAL, EFAULT. */
export function readStage1(userData: UserData): SimpleStage1 {
  const type = SIMPLE_IOMMU;
  if (userData.type !== type) throw EOPNOTSUPP;
  const data = copyStructFromUser(SimpleStage1, userData, type, "table");
  if (data.flags !== 0 || data.reserved !== 0) throw EOPNOTSUPP;
  return data;
}

// The driver.

/** The driver: one object for all devices behind such IOMMUs. */
export class SimpleIommu implements IommuOps {
  readonly iommu: Iommu;
  readonly blockedDomain: Domain;
  /** Devices whose requests for pages somebody handles. */
  readonly faults = new IopfQueue();

  /** A driver for the IOMMU core of a kernel: `new SimpleIommu(kernel.iommu)`. */
  constructor(iommu: Iommu) {
    this.iommu = iommu;
    this.blockedDomain = new BlockedDomain({ owner: this });
  }

  capable(_dev: Device, cap: IommuCap): boolean {
    return cap === "cache-coherency" || cap === "dirty-tracking" ||
      cap === "pci-ats-supported";
  }

  deviceGroup(_dev: Device): Group {
    return this.iommu.allocGroup();
  }

  /** Writes to these addresses are interrupts, not DMA. */
  resvRegions(_dev: Device): readonly ResvRegion[] {
    return [{ type: "msi", start: 0xfee00000n, length: 0x100000n }];
  }

  domainAllocPaging(_dev: Device, dirtyTracking = false): SimpleDomain {
    this.iommu.kernel.step("driver.alloc");
    return new SimpleDomain(this, dirtyTracking);
  }

  domainAllocPagingFlags(
    dev: Device,
    flags: number,
    userData: UserData | undefined,
  ): SimpleDomain {
    const known = IOMMU_HWPT_ALLOC_NEST_PARENT |
      IOMMU_HWPT_ALLOC_DIRTY_TRACKING | IOMMU_HWPT_ALLOC_PASID;
    if (flags & ~known || userData !== undefined) throw EOPNOTSUPP;
    const tracks = (flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING) !== 0;
    return this.domainAllocPaging(dev, tracks);
  }

  domainAllocNested(
    _dev: Device,
    parent: Domain,
    flags: number,
    userData: UserData,
  ): SimpleNestedDomain {
    if (flags & ~IOMMU_HWPT_ALLOC_PASID) throw EOPNOTSUPP;
    if (!(parent instanceof SimpleDomain)) throw EINVAL;
    const data = readStage1(userData);
    this.iommu.kernel.step("driver.alloc");
    return new SimpleNestedDomain(parent, data);
  }

  hwInfo(_dev: Device, type: number): HwInfo {
    if (type !== IOMMU_HW_INFO_TYPE_NONE && type !== SIMPLE_IOMMU) {
      throw EOPNOTSUPP;
    }
    this.iommu.kernel.step("driver.alloc");
    const info = { inputBits: Math.log2(LARGE), outputBits: OUTPUT_BITS };
    return { type: SIMPLE_IOMMU, bytes: SimpleHwInfo.encode(info) };
  }

  pageResponse(dev: Device, _last: PageRequest, answer: PageResponse): void {
    dev.pageRequests.answer(answer);
  }
}

/** A device behind a {@link SimpleIommu}. */
export class SimpleDevice extends Device {
  /** The driver of the IOMMU. */
  readonly driver: SimpleIommu;

  /** A device that its driver has taken on. */
  constructor(driver: SimpleIommu, name: string) {
    super(driver.iommu, name, driver);
    this.driver = driver;
    this.hasIsolatedMsi = true;
    this.maxPasids = 2 ** PASID_BITS;
    probeDevice(this);
  }

  /** DMA from memory; undefined if the IOMMU blocks it. */
  read(
    iova: number,
    length: number,
    pasid = IOMMU_NO_PASID,
  ): Uint8Array | undefined {
    const data = new Uint8Array(length);
    return passes(() => this.dma.read(iova, data, pasid)) ? data : undefined;
  }

  /** DMA to memory; false if the IOMMU blocks it. Pages before the first blocked one are written. */
  write(iova: number, data: Uint8Array, pasid = IOMMU_NO_PASID): boolean {
    return passes(() => this.dma.write(iova, data, pasid));
  }
}

/** Whether the IOMMU lets DMA through. */
function passes(dma: () => void): boolean {
  try {
    dma();
    return true;
  } catch (error) {
    if (error instanceof DmaFault) return false;
    throw error;
  }
}
