// SPDX-License-Identifier: GPL-2.0-only

/**
 * The page table that the mock IOMMU has since 6.19: AMD's format with a
 * granule of 2 KiB, see impl/iommu/amdv1. Linux: generic_pt/fmt/iommu_mock.c,
 * and amdv1_mock_ops of selftest.c.
 *
 * @module
 */

import { AmdV1Format } from "../iommu/amdv1/format.ts";
import { AmdV1PageTable } from "../iommu/amdv1/page_table.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import {
  MOCK_APERTURE_LAST,
  MOCK_APERTURE_START,
  MOCK_HUGE_PAGE_SIZE,
  MOCK_IO_PAGE_SIZE,
} from "../uapi/selftest.ts";
import {
  type DirtyPages,
  MockDomain,
  type MockDomainOptions,
} from "./mock_domain.ts";

/** Three levels of nine bits above 2 KiB. */
const IOVA_BITS = 38;
/** The 40 bits of an address in an entry, above 2 KiB. */
const ADDRESS_BITS = 51;

/** Every power of two from 2 KiB to 64 GiB: an entry is at most half the IOVA space, and Linux leaves out that half. */
const ALL_SIZES = Array.from(
  { length: IOVA_BITS - 1 - Math.log2(MOCK_IO_PAGE_SIZE) },
  (_, order) => MOCK_IO_PAGE_SIZE * 2 ** order,
);

/** The page table of MOCK_IOMMUPT_DEFAULT. */
export const MOCK_FORMAT: AmdV1Format = format(ALL_SIZES);

/** The page table of MOCK_IOMMUPT_HUGE. iommufd takes no domain without PAGE_SIZE. */
const MOCK_HUGE_FORMAT: AmdV1Format = format([
  PAGE_SIZE,
  MOCK_HUGE_PAGE_SIZE,
]);

function format(pageSizes: readonly number[]): AmdV1Format {
  return new AmdV1Format({
    granule: MOCK_IO_PAGE_SIZE,
    levels: 3,
    iovaSize: 2 ** IOVA_BITS,
    addressSize: 2 ** ADDRESS_BITS,
    pageSizes,
    attributes: 0,
  });
}

/** A paging domain of the mock with a page table in AMD's format; if `huge`, that of MOCK_IOMMUPT_HUGE. */
export class AmdMockDomain extends MockDomain {
  /** Its page table. */
  readonly pageTable: AmdV1PageTable;

  /** An empty domain. It needs no device. */
  constructor(options: MockDomainOptions) {
    const { huge = false, owner } = options;
    const format = huge ? MOCK_HUGE_FORMAT : MOCK_FORMAT;
    const pageTable = new AmdV1PageTable(format, owner.iommu.tableMemory);
    super(options, {
      pageTable,
      pgsizeBitmap: format.pgsizeBitmap,
      apertureStart: huge ? 0n : BigInt(MOCK_APERTURE_START),
      apertureEnd: BigInt(huge ? format.iovaSize - 1 : MOCK_APERTURE_LAST),
    });
    this.pageTable = pageTable;
  }

  override get mappedBytes(): number {
    return this.pageTable.entries().reduce((sum, { size }) => sum + size, 0);
  }

  override lookup(iova: number): number | undefined {
    return this.pageTable.lookup(iova);
  }

  /** Marks what is mapped; returns how many bits are set, for whatever IOVA. */
  override markDirty({ iova, pageSize, count, bits }: DirtyPages): number {
    let given = 0;
    for (let bit = 0; bit < count; bit++) {
      const byte = bits[bit >> 3]!;
      if (byte === 0) bit |= 7;
      if (((byte >> (bit & 7)) & 1) === 0) continue;
      given++;
      // An IOVA that a number rounds is beyond the table.
      const at = BigInt.asUintN(64, iova + BigInt(bit) * pageSize);
      this.pageTable.setDirty(Number(at));
    }
    return given;
  }
}
