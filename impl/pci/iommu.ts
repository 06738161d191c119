// SPDX-License-Identifier: GPL-2.0-only

/**
 * The IOMMU in front of the PCI devices: 48 bits of IOVA with pages of 4 KiB,
 * 2 MiB and 1 GiB, dirty tracking, a translation for each PASID, and the window
 * of x86's interrupts, which cannot be mapped. It tells what an IOMMU of Intel
 * tells that has no nesting; the format of its tables, which nobody sees, is
 * AMD's.
 *
 * Linux: drivers/iommu/intel, as a user meets it.
 *
 * @module
 */

import { AmdV1Format } from "../iommu/amdv1/format.ts";
import { AmdV1PageTable } from "../iommu/amdv1/page_table.ts";
import type { Device, HwInfo, IommuCap, IommuOps } from "../iommu/device.ts";
import { Domain, IOMMU_WRITE } from "../iommu/domain.ts";
import { type Group, IOMMU_NO_PASID } from "../iommu/group.ts";
import type { Iommu } from "../iommu/iommu.ts";
import type { PageRequest, PageResponse } from "../iommu/page_fault.ts";
import { IopfQueue } from "../iommu/page_fault_queue.ts";
import type { ResvRegion } from "../iommu/resv.ts";
import type { UserData } from "../iommu/user_data.ts";
import { EINVAL, ENODEV, EOPNOTSUPP } from "../uapi/errno.ts";
import {
  IOMMU_HW_INFO_TYPE_DEFAULT,
  IOMMU_HW_INFO_TYPE_INTEL_VTD,
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_PASID,
} from "../uapi/iommufd.ts";
import { u32, u64 } from "../uapi/layout/roles.ts";
import { type Struct, struct } from "../uapi/layout/struct.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import { PciFunction } from "./function.ts";

const IOVA_BITS = 48;

const FORMAT = new AmdV1Format({
  granule: PAGE_SIZE,
  levels: 4,
  iovaSize: 2 ** IOVA_BITS,
  addressSize: 2 ** 52,
  pageSizes: [PAGE_SIZE, 2 ** 21, 2 ** 30],
  attributes: 0,
});

/** Where x86 takes writes of devices for interrupts. */
const MSI_WINDOW: ResvRegion = {
  start: 0xfee00000n,
  length: 0x100000n,
  type: "msi",
};

/** Linux: `struct iommu_hw_info_vtd`. */
export interface HwInfoVtd {
  flags: number;
  reserved: number;
  capReg: bigint;
  ecapReg: bigint;
}

/** Its layout. */
export const HwInfoVtd: Struct<HwInfoVtd> = struct("iommu_hw_info_vtd", {
  flags: u32(),
  reserved: u32(),
  capReg: u64(),
  ecapReg: u64(),
});

/** The registers in which the hardware says what it can do. */
export interface VtdRegisters {
  /** Its capabilities. */
  readonly capReg: bigint;
  /** More of them. */
  readonly ecapReg: bigint;
}

/** Scalable mode, and in that: second stages, and in those marks of what was accessed and written. */
const ECAP_SMTS = 1n << 43n;
const ECAP_SLADS = 1n << 45n;
const ECAP_SLTS = 1n << 46n;

/** 48 bits of guest address, four levels, large pages of 2 MiB and 1 GiB; coherent, queued invalidation, remapped interrupts. */
const REGISTERS: VtdRegisters = {
  capReg: 47n << 16n | 1n << 10n | 3n << 34n,
  ecapReg: 1n << 0n | 1n << 1n | 1n << 3n |
    ECAP_SMTS | ECAP_SLADS | ECAP_SLTS,
};

/** What the driver says of all hardware: a nesting parent must not map read-only (Linux: IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17). */
const ERRATA_772415_SPR17 = 1;

/** Whether what devices write can be noted (Linux: ssads_supported). */
function notesDirty({ ecapReg }: VtdRegisters): boolean {
  const needed = ECAP_SMTS | ECAP_SLADS;
  return (ecapReg & needed) === needed;
}

/** Flags that a domain can be allocated with. */
const PAGING_FLAGS = IOMMU_HWPT_ALLOC_DIRTY_TRACKING | IOMMU_HWPT_ALLOC_PASID;

/** A domain of this IOMMU. */
export abstract class PciDomain extends Domain {
  /** Points the hardware at this domain. Throws as {@link setDevPasid}. */
  override attachDev(dev: Device, old: Domain | null): void {
    this.setDevPasid(dev, IOMMU_NO_PASID, old);
  }

  /**
   * The same for DMA with a PASID. A domain that handles page faults: throws
   * ENODEV for a device that cannot ask for pages, EINVAL for a virtual
   * function. (Linux: intel_iommu_enable_iopf, and
   * iommufd_hwpt_compatible_device.)
   */
  override setDevPasid(dev: Device, pasid: number, old: Domain | null): void {
    const pci = dev as PciFunction;
    if (this.iopfHandler !== undefined) {
      if (pci.physFn !== undefined) {
        throw EINVAL.because("a virtual function cannot ask for pages");
      }
      if (!pci.hasPageRequests) {
        throw ENODEV.because("the device cannot ask for pages");
      }
    }
    const ops = this.owner as PciIommuOps;
    ops.iopfQueue.changeDomain(dev, this, old);
    pci.translations.set(pasid, this);
  }
}

/** Lets nothing through. */
class BlockedDomain extends PciDomain {
  override readonly type = "blocked";
}

/** What DMA goes through where there is no IOMMU: its addresses are those of memory, of which it reaches what is pinned, and of BARs. */
export class PassthroughDomain extends PciDomain {
  /** See {@link Domain}. */
  override readonly type = "identity";

  /** For a machine. */
  constructor(owner: PciIommuOps) {
    super({ owner });
  }

  override translate(address: number, access: number): number | undefined {
    const { count } = this.owner.iommu.kernel.frames;
    const isMemory = address < count * PAGE_SIZE;
    return isMemory ? super.translate(address, access) : address;
  }
}

/** A page table. */
export class PciPagingDomain extends PciDomain {
  /** Its user maps into it. */
  override readonly type = "paging";
  /** Its page table. */
  readonly pageTable: AmdV1PageTable;

  /** An empty one. */
  constructor(owner: PciIommuOps, dirtyTracking: boolean) {
    const pageTable = new AmdV1PageTable(FORMAT);
    super({
      owner,
      pageTable,
      dirtyTracking,
      pgsizeBitmap: FORMAT.pgsizeBitmap,
      apertureEnd: BigInt(FORMAT.iovaSize - 1),
    });
    this.pageTable = pageTable;
  }

  override translate(iova: number, access: number): number | undefined {
    const paddr = this.pageTable.translate(iova, access);
    if (paddr !== undefined && this.tracksDirty && access === IOMMU_WRITE) {
      this.pageTable.setDirty(iova);
    }
    return paddr;
  }
}

/** The driver of the IOMMU. */
export class PciIommuOps implements IommuOps {
  /** The IOMMU core that it registers with. */
  readonly iommu: Iommu;
  /** Blocks all DMA. */
  readonly blockedDomain: Domain;
  /** Its devices that may make page requests. */
  readonly iopfQueue: IopfQueue = new IopfQueue();
  readonly #registers: VtdRegisters;

  /** A driver without devices, for hardware that says this of itself; by default it can track dirty pages. */
  constructor(iommu: Iommu, registers: VtdRegisters = REGISTERS) {
    this.iommu = iommu;
    this.blockedDomain = new BlockedDomain({ owner: this });
    this.#registers = registers;
  }

  /** DMA is coherent, and dirty pages can be tracked where the hardware can do it. */
  capable(_dev: Device, cap: IommuCap): boolean {
    return cap === "cache-coherency" ||
      cap === "dirty-tracking" && notesDirty(this.#registers);
  }

  /** Throws ENODEV for what is no PCI device. */
  probeDevice(dev: Device): void {
    if (!(dev instanceof PciFunction)) throw ENODEV;
  }

  /** That of the device that it cannot be told from, or one of its own. */
  deviceGroup(dev: Device): Group {
    const { groupWith } = dev as PciFunction;
    return groupWith?.group?.get() ?? this.iommu.allocGroup();
  }

  /** An empty page table. */
  domainAllocPaging(): PciPagingDomain {
    return new PciPagingDomain(this, false);
  }

  /** An empty page table, with dirty tracking where that is wanted. Throws EOPNOTSUPP for data, for nesting, and for what the hardware cannot track. */
  domainAllocPagingFlags(
    _dev: Device,
    flags: number,
    userData: UserData | undefined,
  ): PciPagingDomain {
    if (flags & ~PAGING_FLAGS) {
      throw EOPNOTSUPP.because("the IOMMU cannot nest");
    }
    if (userData !== undefined) {
      throw EOPNOTSUPP.because("the IOMMU driver takes no data");
    }
    const dirty = (flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING) !== 0;
    if (dirty && !notesDirty(this.#registers)) {
      throw EOPNOTSUPP.because("the IOMMU cannot track dirty pages");
    }
    return new PciPagingDomain(this, dirty);
  }

  /** Linux's driver has this, whether or not its hardware can nest. Throws EOPNOTSUPP: this hardware cannot. */
  domainAllocNested(): never {
    throw EOPNOTSUPP.because("the IOMMU cannot nest");
  }

  /** What its registers say. Throws EOPNOTSUPP for another type. */
  hwInfo(_dev: Device, type: number): HwInfo {
    if (
      type !== IOMMU_HW_INFO_TYPE_DEFAULT &&
      type !== IOMMU_HW_INFO_TYPE_INTEL_VTD
    ) {
      throw EOPNOTSUPP.because(
        "the IOMMU driver does not know the wanted type",
      );
    }
    const bytes = HwInfoVtd.encode({
      flags: ERRATA_772415_SPR17,
      ...this.#registers,
    });
    return { type: IOMMU_HW_INFO_TYPE_INTEL_VTD, bytes };
  }

  /** The window of interrupts. */
  resvRegions(): readonly ResvRegion[] {
    return [MSI_WINDOW];
  }

  /** The device gets the answer. */
  pageResponse(dev: Device, _request: PageRequest, response: PageResponse) {
    (dev as PciFunction).pageRequests.answer(response);
  }
}
