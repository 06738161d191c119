// SPDX-License-Identifier: GPL-2.0-only

/**
 * Test operations that look behind the scenes: what a mock domain maps, what
 * it has cached, and how often pages are pinned.
 *
 * @module
 */

import { U64_MAX } from "../../lib/u64.ts";
import { MockDomain } from "../../mock/mock_domain.ts";
import { MockNestedDomain } from "../../mock/mock_nested_domain.ts";
import { EINVAL, EIO } from "../../uapi/errno.ts";
import {
  MOCK_IO_PAGE_SIZE,
  type TestCheckIotlb,
  type TestCheckMap,
  type TestCheckRefs,
} from "../../uapi/selftest.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import type { Revision } from "../../uapi/revision.ts";
import { HwptPaging } from "../hwpt/hw_pagetable.ts";
import { HwptNested } from "../hwpt/hwpt_nested.ts";
import { checkGupRange } from "../pages/sources/user_memory.ts";
import type { CommandBuffer } from "../objects/ucmd.ts";

const NO_MOCK = EINVAL.because("the HWPT is not of the mock IOMMU");

/** Throws EINVAL if one of the values is not a multiple of `unit`. */
function checkAligned(unit: number, ...values: readonly bigint[]): void {
  const mask = BigInt(unit - 1);
  for (const value of values) {
    if (value & mask) {
      throw EINVAL.because(`the range is not aligned to ${unit} bytes`);
    }
  }
}

/** Throws EINVAL if the end of a range of user memory wraps. */
function checkRange(revision: Revision, uptr: bigint, length: bigint): void {
  if (revision.selftest.opsValidate && uptr + length > U64_MAX) {
    throw EINVAL.because("the memory reaches beyond 2^64-1");
  }
}

/** MD_CHECK_MAP: every IO page must map what the user memory has (Linux: iommufd_test_md_check_pa). */
export function testCheckMap(
  { ctx, process }: CommandBuffer,
  { id, iova, length, uptr }: TestCheckMap,
): void {
  const { kernel } = ctx;
  const check = (unit: number) => {
    checkAligned(unit, iova, length, uptr);
    checkRange(kernel.revision, uptr, length);
  };
  // Later kernels check it in the unit of the domain.
  const { checkMapFindsHwptFirst } = kernel.revision.selftest;
  if (!checkMapFindsHwptFirst) check(MOCK_IO_PAGE_SIZE);

  ctx.objects.get(id, HwptPaging).putAfter(({ domain }) => {
    if (!(domain instanceof MockDomain)) throw NO_MOCK;
    const unit = domain.pageSizes[0]!;
    check(unit);
    const end = Number(uptr + length);
    let at = Number(iova);
    for (let uaddr = Number(uptr); uaddr < end; uaddr += unit, at += unit) {
      const offset = uaddr % PAGE_SIZE;
      checkGupRange(kernel, uaddr - offset, 1);
      const pfn = process.mm.userPage(uaddr - offset);
      if (domain.lookup(at) !== pfn * PAGE_SIZE + offset) {
        throw EINVAL.because("an IO page does not map what the memory has");
      }
    }
  });
}

/**
 * MD_CHECK_REFS: every page must be pinned `refs` times. Frames of huge pages
 * are skipped, since Linux counts all of them in one place.
 * (Linux: iommufd_test_md_check_refs.)
 */
export function testCheckRefs(
  { ctx, process }: CommandBuffer,
  { uptr, length, refs }: TestCheckRefs,
): void {
  checkAligned(PAGE_SIZE, length, uptr);
  checkRange(ctx.kernel.revision, uptr, length);

  const { frames } = ctx.kernel;
  const start = Number(uptr);
  const end = start + Number(length);
  for (let uaddr = start; uaddr < end; uaddr += PAGE_SIZE) {
    const pfn = process.mm.userPage(uaddr);
    if (frames.isCompound(pfn)) continue;
    if (frames.pins(pfn) !== refs) {
      throw EIO.because("a page is not pinned as often as expected");
    }
  }
}

/** MD_CHECK_IOTLB: an entry of a nested domain's cache must have a value (Linux: iommufd_test_md_check_iotlb). */
export function testCheckIotlb(
  { ctx }: CommandBuffer,
  { id, iotlbId, iotlb }: TestCheckIotlb,
): void {
  ctx.objects.get(id, HwptNested).putAfter((hwpt) => {
    const { domain } = hwpt;
    if (!(domain instanceof MockNestedDomain)) throw NO_MOCK;
    if (iotlbId >= domain.iotlb.length) {
      throw EINVAL.because("there is no such entry");
    }
    if (domain.iotlb[iotlbId] !== iotlb) {
      throw EINVAL.because("the entry has another value");
    }
  });
}
