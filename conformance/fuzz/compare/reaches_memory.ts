// SPDX-License-Identifier: GPL-2.0-only

/**
 * Calls that reach known bugs with pins, their owners, and dirty bits.
 *
 * @module
 */

import {
  ACCOUNT_MM,
  ACCOUNT_NONE,
} from "../../../impl/iommufd/pages/accounting.ts";
import { HwptPaging } from "../../../impl/iommufd/hwpt/hw_pagetable.ts";
import { Ioas } from "../../../impl/iommufd/ioas/ioas.ts";
import { AddressSpace } from "../../../impl/kernel/simulated/mappings/address_space.ts";
import { AmdMockDomain } from "../../../impl/mock/amd_domain.ts";
import { IommuHwptGetDirtyBitmap } from "../../../impl/uapi/hwpt.ts";
import { IommuIoasCopy } from "../../../impl/uapi/ioas.ts";
import {
  IOMMU_DESTROY,
  IOMMU_IOAS_CHANGE_PROCESS,
  IOMMU_IOAS_MAP_FILE,
  IOMMU_IOAS_UNMAP,
} from "../../../impl/uapi/iommufd.ts";
import {
  FALLOC_FL_PUNCH_HOLE,
  MADV_DONTNEED,
  MREMAP_FIXED,
  PROT_WRITE,
  TASK_SIZE,
} from "../../../impl/uapi/mman.ts";
import { IOMMU_TEST_OP_PASID_DETACH } from "../../../impl/uapi/selftest.ts";
import { fields, type Here, objectOf, pagesOf, testOp } from "./here.ts";

/** Ioctls that pin nothing. */
const PINS_NOTHING: readonly number[] = [
  IOMMU_DESTROY,
  IOMMU_IOAS_CHANGE_PROCESS,
  IOMMU_IOAS_UNMAP,
];

/** Memory of a process that is gone, charged to it, may be pinned. */
export function pinsForDead(here: Here): boolean {
  const pinsNothing = PINS_NOTHING.includes(here.command) ||
    testOp(here) === IOMMU_TEST_OP_PASID_DETACH;
  return !pinsNothing && hasDeadOwner(here);
}

/** True if memory is charged to a process that is gone. */
function hasDeadOwner(here: Here): boolean {
  return pagesOf(here).some(({ accountMode, owner }) =>
    accountMode === ACCOUNT_MM && !owner.mm.alive
  );
}

/** A range of addresses. */
interface Range {
  readonly start: number;
  readonly end: number;
}

function rangeOf(start: unknown, length: unknown): Range {
  return { start: Number(start), end: Number(start) + Number(length) };
}

/** All addresses. */
const EVERYTHING = rangeOf(0, TASK_SIZE);

/** The mappings of a range that are private memory of huge pages. */
function hugeAndPrivate({ process: { mm } }: Here, { start, end }: Range) {
  if (!(mm instanceof AddressSpace)) return [];
  return mm.vmas.overlapping(start, end)
    .filter(({ huge, shared }) => huge && !shared);
}

/** Private memory of huge pages is dropped. */
export function dropsHugePage(here: Here): boolean {
  const { verb, args } = here.call;
  return verb.name === "madvise" && args[2] === MADV_DONTNEED &&
    hugeAndPrivate(here, rangeOf(args[0], args[1])).length > 0;
}

/** A range of addresses that a call takes out of memory, or puts other memory to; undefined for none. */
function rangeThatGoes({ call: { verb, args } }: Here): Range | undefined {
  switch (verb.name) {
    case "munmap":
    case "mmap":
      return rangeOf(args[0], args[1]);
    case "mremap":
      return (Number(args[3]) & MREMAP_FIXED) === 0
        ? rangeOf(args[0], args[1])
        : rangeOf(args[4], args[2]);
    case "exec":
    case "exit":
      return EVERYTHING;
    default:
      return undefined;
  }
}

/** Private memory of huge pages goes. */
export function losesHugePage(here: Here): boolean {
  const range = rangeThatGoes(here);
  return range !== undefined && hugeAndPrivate(here, range).length > 0;
}

/** Private memory of huge pages that may not be written is forked, of which some may be pinned. */
export function forksReadOnlyHugePage(here: Here): boolean {
  return here.call.verb.name === "fork" &&
    hugeAndPrivate(here, EVERYTHING)
      .some(({ prot }) => (prot & PROT_WRITE) === 0);
}

/** A step of pinning a file's pages may be made to fail. */
export function failsFilePins(here: Here): boolean {
  if (here.ctx === undefined || here.process.faults.nth === 0) return false;
  return here.command === IOMMU_IOAS_MAP_FILE ||
    pagesOf(here).some(({ source }) => source.frames?.ownerMayChange);
}

/** A file gets memory that nobody has touched. */
export function allocatesMemory({ process, call }: Here): boolean {
  const { verb, args } = call;
  if (verb.name !== "fallocate") return false;
  if ((Number(args[1]) & FALLOC_FL_PUNCH_HOLE) !== 0) return false;
  return process.files.get(Number(args[0]))?.pinnable?.huge === false;
}

/** The memory of a process that is gone gets another owner. */
export function ownerIsDead(here: Here): boolean {
  return here.command === IOMMU_IOAS_CHANGE_PROCESS && hasDeadOwner(here);
}

/** Memory that is not charged gets another owner. */
export function ownerIsOther(here: Here): boolean {
  return here.command === IOMMU_IOAS_CHANGE_PROCESS &&
    pagesOf(here).some(({ accountMode, owner }) =>
      accountMode === ACCOUNT_NONE && owner.mm !== here.process.mm
    );
}

/** What is copied is aligned for the other IOAS, and maybe not each area of it. */
export function copiesCutPages(here: Here): boolean {
  if (here.command !== IommuIoasCopy.ioctl.number) return false;
  const { srcIoasId, dstIoasId, length } = fields(here, IommuIoasCopy);
  const src = objectOf(here, srcIoasId);
  const dst = objectOf(here, dstIoasId);
  if (!(src instanceof Ioas && dst instanceof Ioas)) return false;
  const mask = dst.iopt.iovaAlignment - 1;
  return (length & BigInt(mask)) === 0n && (src.iopt.areaBits & mask) !== 0;
}

/** Dirty bits are read from or up to the inside of an entry. */
export function cutsDirtyEntry(here: Here): boolean {
  const { ioctl } = IommuHwptGetDirtyBitmap;
  if (here.command !== ioctl.number) return false;
  const { hwptId, iova, length } = fields(here, IommuHwptGetDirtyBitmap);
  const hwpt = objectOf(here, hwptId);
  if (!(hwpt instanceof HwptPaging)) return false;
  const { domain } = hwpt;
  if (!(domain instanceof AmdMockDomain)) return false;
  const [start, end] = [Number(iova), Number(iova + length)];
  return domain.pageTable.entries().some((entry) => {
    const last = entry.iova + entry.size;
    const isInside = (at: number) => at > entry.iova && at < last;
    return isInside(start) || isInside(end);
  });
}
