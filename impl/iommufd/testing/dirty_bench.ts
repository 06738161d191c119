// SPDX-License-Identifier: GPL-2.0-only

/**
 * A machine with a HWPT that can track writes, and the ioctls for that, for
 * the unit tests of this folder.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { MockDomain } from "../../mock/mock_domain.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_DIRTY_TRACKING_ENABLE,
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  IommuHwptGetDirtyBitmap,
  IommuHwptSetDirtyTracking,
} from "../../uapi/iommufd.ts";
import { IOMMU_TEST_OP_DIRTY, TestDirty } from "../../uapi/selftest.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import { NEWEST, type RevisionName } from "../../uapi/revision.ts";
import { HwptPaging } from "../hwpt/hw_pagetable.ts";
import { HwptBench } from "./hwpt_bench.ts";
import { type Answer, IOVA, Machine } from "./machine.ts";

/** Bytes of an IO page of the mock. */
export const GRANULE = 2048n;
/** IO pages that are mapped from IOVA 16 MiB on. */
export const MAPPED = 64;
/** Bytes for a bitmap: enough for a bit for each byte that is mapped, and a page to spare. */
const BITMAP_SIZE = 5 * PAGE_SIZE;

/** What all calls are about unless told otherwise: all that is mapped, a bit for each IO page. */
const RANGE = {
  iova: IOVA,
  length: BigInt(MAPPED) * GRANULE,
  pageSize: GRANULE,
};

/** A {@link HwptBench} for dirty tracking. */
export class DirtyBench extends HwptBench {
  /** A HWPT that can track; tracking is off. */
  readonly hwpt: number;
  /** Memory for the bitmap that is read. */
  readonly bitmap: number = this.machine.memory(BITMAP_SIZE / PAGE_SIZE);

  constructor(devFlags = 0, revision: RevisionName = NEWEST) {
    super(devFlags, new Machine(revision));
    const answer = this.alloc({ flags: IOMMU_HWPT_ALLOC_DIRTY_TRACKING });
    assertEquals(answer.ret, 0);
    this.hwpt = answer.outHwptId;
    const length = RANGE.length;
    // From the middle of a page on: then each IO page has an entry of its own.
    const pages = Number(length) / PAGE_SIZE + 1;
    const userVa = BigInt(this.machine.memory(pages)) + GRANULE;
    const map = this.machine.map({ ioasId: this.ioas, userVa, length });
    assertEquals(map.ret, 0);
  }

  /** The domain of the HWPT. */
  get domain(): MockDomain {
    const { objects } = this.machine.ctx;
    const hwpt = objects.get(this.hwpt, HwptPaging);
    hwpt.put();
    return hwpt.domain as MockDomain;
  }

  /** SET_DIRTY_TRACKING; 0 or the errno's name. */
  set(
    enable: boolean,
    values: Partial<IommuHwptSetDirtyTracking> = {},
  ): string | number {
    const cmd = IOMMU_HWPT_SET_DIRTY_TRACKING;
    return this.machine.call(cmd, IommuHwptSetDirtyTracking, {
      hwptId: this.hwpt,
      flags: enable ? IOMMU_HWPT_DIRTY_TRACKING_ENABLE : 0,
      ...values,
    }).ret;
  }

  /** GET_DIRTY_BITMAP; 0 or the errno's name. */
  get(values: Partial<IommuHwptGetDirtyBitmap> = {}): string | number {
    const cmd = IOMMU_HWPT_GET_DIRTY_BITMAP;
    return this.machine.call(cmd, IommuHwptGetDirtyBitmap, {
      hwptId: this.hwpt,
      data: BigInt(this.bitmap),
      ...RANGE,
      ...values,
    }).ret;
  }

  /** GET_DIRTY_BITMAP into a bitmap of zeros; the bits that are set then. */
  read(values: Partial<IommuHwptGetDirtyBitmap> = {}): number[] {
    this.machine.process.poke(this.bitmap, new Uint8Array(BITMAP_SIZE));
    assertEquals(this.get(values), 0);
    return this.bits();
  }

  /** The bits that are set in the memory for bitmaps. */
  bits(): number[] {
    const bytes = this.machine.process.peek(this.bitmap, BITMAP_SIZE);
    const found: number[] = [];
    for (const [i, byte] of bytes.entries()) {
      for (let bit = 0; bit < 8; bit++) {
        if ((byte >> bit) & 1) found.push(i * 8 + bit);
      }
    }
    return found;
  }

  /** Test operation DIRTY for the pages with these bits. */
  write(
    bits: readonly number[],
    values: Partial<TestDirty> = {},
  ): Answer<TestDirty> {
    const bytes = new Uint8Array(PAGE_SIZE);
    for (const bit of bits) bytes[bit >> 3]! |= 1 << (bit & 7);
    this.machine.process.poke(this.place, bytes);
    return this.machine.test(IOMMU_TEST_OP_DIRTY, TestDirty, {
      id: this.hwpt,
      uptr: BigInt(this.place),
      ...RANGE,
      ...values,
    });
  }
}
