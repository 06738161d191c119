// SPDX-License-Identifier: GPL-2.0-only

/**
 * What stands in for the IOMMU driver of a device that has no IOMMU: its
 * domains remember which memory an IOVA stands for, and no hardware reads them.
 * The page table is AMD's with a granule of 4 KiB, as that has most sizes of
 * entries. Linux: hwpt_noiommu.c.
 *
 * @module
 */

import { FC } from "../../iommu/amdv1/entry.ts";
import { AmdV1Format } from "../../iommu/amdv1/format.ts";
import { AmdV1PageTable } from "../../iommu/amdv1/page_table.ts";
import type { Device, HwInfo, IommuOps } from "../../iommu/device.ts";
import { Domain } from "../../iommu/domain.ts";
import type { Group } from "../../iommu/group.ts";
import type { Iommu } from "../../iommu/iommu.ts";
import type { UserData } from "../../iommu/user_data.ts";
import type { Iova } from "../../lib/brands.ts";
import type { FrameList } from "../../lib/frame_list.ts";
import { ENODEV, EOPNOTSUPP } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";

/** log2 of the largest entry. */
const LARGEST = 51;
/** log2 of the entry that the format leaves out. */
const MISSING = 39;
const SMALLEST = Math.log2(PAGE_SIZE);

/** Every power of two from 4 KiB on but 512 GiB. */
const PAGE_SIZES = Array.from(
  { length: LARGEST - SMALLEST + 1 },
  (_, order) => PAGE_SIZE * 2 ** order,
).filter((size) => size !== 2 ** MISSING);

const FORMAT = new AmdV1Format({
  granule: PAGE_SIZE,
  levels: 6,
  iovaSize: 2 ** 64,
  addressSize: 2 ** 52,
  pageSizes: PAGE_SIZES,
  attributes: FC,
});

/** A map from IOVA to memory, for those who ask (Linux: struct noiommu_domain). */
export class NoIommuDomain extends Domain {
  /** It maps. */
  readonly type = "paging";
  /** Never to a device. */
  override readonly isAttachable = false;
  readonly #table: AmdV1PageTable;

  /** One that maps nothing. */
  constructor(owner: NoIommuOps) {
    super({ owner, pgsizeBitmap: FORMAT.pgsizeBitmap });
    this.#table = new AmdV1PageTable(FORMAT, owner.iommu.tableMemory);
  }

  /** Only the IOMMU core asks for this, which knows no such device. */
  override attachDev(): void {
    throw ENODEV.because("the device has no IOMMU");
  }

  /** See {@link Domain}. */
  override mapRange(
    iova: Iova,
    paddr: number,
    size: number,
    prot: number,
  ): void {
    this.#table.map(iova, paddr, size, prot);
  }

  /** See {@link Domain}. */
  override unmapRange(iova: Iova, size: number): number {
    return this.#table.unmap(iova, size);
  }

  /** Frees the page table. */
  override free(): void {
    this.#table.free();
  }

  /** 0 in a hole. */
  override iovaToPhys(iova: Iova): number {
    return this.#table.lookup(iova) ?? 0;
  }

  /** See {@link Domain}. */
  override readRuns(
    iova: Iova,
    npages: number,
    list: FrameList,
    maxRuns: number,
  ): number {
    return this.#table.readRuns(iova, npages, list, maxRuns);
  }
}

/** The operations of a driver that drives nothing (Linux: iommufd_noiommu_ops). */
export class NoIommuOps implements IommuOps {
  /** The IOMMU core, which never sees it. */
  readonly iommu: Iommu;

  /** One for a kernel. */
  constructor(iommu: Iommu) {
    this.iommu = iommu;
  }

  /** No device can be put under it. */
  deviceGroup(): Group {
    throw ENODEV.because("the device has no IOMMU");
  }

  /** A domain. Throws ENOMEM. */
  domainAllocPaging(): NoIommuDomain {
    this.iommu.kernel.step("noIommu.domain");
    return new NoIommuDomain(this);
  }

  /** The same. Throws EOPNOTSUPP for any flag and for data. (Linux: noiommu_alloc_paging_flags.) */
  domainAllocPagingFlags(
    _dev: Device,
    flags: number,
    userData: UserData | undefined,
  ): NoIommuDomain {
    if (flags !== 0 || userData !== undefined) {
      throw EOPNOTSUPP.because("without an IOMMU there are no flags and data");
    }
    return this.domainAllocPaging();
  }

  /** Throws EOPNOTSUPP. */
  hwInfo(): HwInfo {
    throw EOPNOTSUPP.because("the device has no IOMMU");
  }
}
