// SPDX-License-Identifier: GPL-2.0-only

/**
 * The VFIO container: ioctls of type1 that act on one IOAS of the context, the
 * compatibility IOAS.
 *
 * Type1 comes in two versions. Version 1 may unmap any part of what was
 * mapped, so areas are cut where needed and every page is mapped on its own.
 *
 * Linux: drivers/iommu/iommufd/vfio_compat.c.
 *
 * @module
 */

import { IOMMU_CACHE, IOMMU_READ, IOMMU_WRITE } from "../../iommu/domain.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import { U64_MAX } from "../../lib/u64.ts";
import { EINVAL, ENOENT, ENOTTY, EPERM } from "../../uapi/errno.ts";
import { CAP_SYS_RAWIO } from "../../uapi/mman.ts";
import {
  VFIO_API_VERSION,
  VFIO_CHECK_EXTENSION,
  VFIO_DMA_CC_IOMMU,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_GET_API_VERSION,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_NOIOMMU_IOMMU,
  VFIO_SET_IOMMU,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VFIO_UNMAP_ALL,
  VfioIommuType1DmaMap,
  VfioIommuType1DmaUnmap,
} from "../../uapi/vfio.ts";
import { disableLargePages } from "../ioas/large_pages.ts";
import { getCompatIoas } from "./compat_ioas.ts";
import type { Ioas } from "../ioas/ioas.ts";
import type { IommufdCtx } from "../main.ts";
import { cutIova } from "../ioas/split.ts";
import { vfioGetInfo } from "./vfio_info.ts";

/**
 * An ioctl outside of iommufd's own table; `arg` is an address or, for some, a
 * plain number. Throws ENOTTY for one that is not VFIO's either, and for dirty
 * tracking, which this container does not have. (Linux: iommufd_vfio_ioctl.)
 */
export function vfioIoctl(
  ctx: IommufdCtx,
  process: Task,
  cmd: number,
  arg: number,
): number {
  switch (cmd) {
    case VFIO_GET_API_VERSION:
      return VFIO_API_VERSION;
    case VFIO_CHECK_EXTENSION:
      return checkExtension(ctx, arg) ? 1 : 0;
    case VFIO_SET_IOMMU:
      setIommu(ctx, process, arg);
      return 0;
    case VFIO_IOMMU_GET_INFO:
      vfioGetInfo(ctx, process.mm, arg);
      return 0;
    case VFIO_IOMMU_MAP_DMA:
      mapDma(ctx, process, arg);
      return 0;
    case VFIO_IOMMU_UNMAP_DMA:
      unmapDma(ctx, process, arg);
      return 0;
    default:
      throw ENOTTY.because("this revision does not have the ioctl");
  }
}

/** VFIO_CHECK_EXTENSION. */
function checkExtension(ctx: IommufdCtx, extension: number): boolean {
  const { options, revision } = ctx.kernel;
  switch (extension) {
    case VFIO_TYPE1_IOMMU:
    case VFIO_TYPE1v2_IOMMU:
    case VFIO_UNMAP_ALL:
      return !ctx.noIommuMode;
    case VFIO_NOIOMMU_IOMMU:
      return revision.vfio.hasNoIommu && options.vfioNoIommu;
    case VFIO_DMA_CC_IOMMU:
      return isCacheCoherent(ctx);
    default:
      return false;
  }
}

/** True if no HWPT lets a device bypass the cache (Linux: iommufd_vfio_cc_iommu). */
function isCacheCoherent(ctx: IommufdCtx): boolean {
  return getCompatIoas(ctx).putAfter((ioas) => {
    for (const hwpt of ioas.hwpts) {
      if (!hwpt.enforceCacheCoherency) return false;
    }
    return true;
  });
}

/**
 * VFIO_SET_IOMMU. Without an IOMMU the other ioctls are not blocked as VFIO
 * does: they fail because there is no IOAS.
 */
function setIommu(ctx: IommufdCtx, process: Task, type: number): void {
  if (
    ctx.kernel.options.vfioNoIommu && type === VFIO_NOIOMMU_IOMMU &&
    ctx.noIommuMode
  ) {
    if (!process.capable(CAP_SYS_RAWIO)) {
      throw EPERM.because("the process lacks CAP_SYS_RAWIO");
    }
    return;
  }
  const isType1 = type === VFIO_TYPE1_IOMMU || type === VFIO_TYPE1v2_IOMMU;
  if (ctx.noIommuMode) {
    throw EINVAL.because("a device without IOMMU uses the container");
  }
  if (!isType1) throw EINVAL.because("the IOMMU type is unknown");
  getCompatIoas(ctx).putAfter((ioas) => {
    if (type === VFIO_TYPE1_IOMMU) disableLargePages(ioas.iopt);
  });
}

/** Throws EINVAL for a struct that is too short, and for flags that are not known. */
function checkHeader(argsz: number, size: number, unknown: number): void {
  if (argsz < size) throw EINVAL.because("argsz is too small");
  if (unknown !== 0) throw EINVAL.because("a flag is unknown");
}

/** VFIO_IOMMU_MAP_DMA: a map at a fixed IOVA, charged as the context says. */
function mapDma(ctx: IommufdCtx, process: Task, uaddr: number): void {
  const bytes = new Uint8Array(VfioIommuType1DmaMap.size);
  process.mm.copyFromUser(bytes, uaddr);
  const { argsz, flags, vaddr, iova, length } = VfioIommuType1DmaMap.at(bytes);
  const known = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  checkHeader(argsz, bytes.length, flags & ~known);

  let prot = IOMMU_CACHE;
  if (flags & VFIO_DMA_MAP_FLAG_READ) prot |= IOMMU_READ;
  if (flags & VFIO_DMA_MAP_FLAG_WRITE) prot |= IOMMU_WRITE;
  getCompatIoas(ctx).putAfter((ioas) => {
    const { accountMode } = ctx;
    ioas.iopt.mapUserPages(vaddr, length, { accountMode, iova, prot });
  });
}

/**
 * VFIO_IOMMU_UNMAP_DMA. The bytes unmapped go back to the caller also when
 * unmapping failed, though not when the arguments or a cut did.
 */
function unmapDma(ctx: IommufdCtx, process: Task, uaddr: number): void {
  const bytes = new Uint8Array(VfioIommuType1DmaUnmap.size);
  process.mm.copyFromUser(bytes, uaddr);
  const unmap = VfioIommuType1DmaUnmap.at(bytes);
  const { argsz, flags, iova, length } = unmap;
  checkHeader(argsz, bytes.length, flags & ~VFIO_DMA_UNMAP_FLAG_ALL);

  getCompatIoas(ctx).putAfter((ioas) => {
    const all = (flags & VFIO_DMA_UNMAP_FLAG_ALL) !== 0;
    if (all && (iova !== 0n || length !== 0n)) {
      throw EINVAL.because("ALL takes no range");
    }
    if (!all && ioas.iopt.disableLargePages) cutAround(ioas, iova, length);

    const result = { unmapped: 0n };
    try {
      if (all) ioas.iopt.unmapAll(result);
      else unmapRange(ioas, iova, length, result);
    } finally {
      if (all || countsBytes(ctx, iova, length)) unmap.length = result.unmapped;
      // If this throws too, EFAULT is the errno that remains.
      process.mm.copyToUser(uaddr, bytes);
    }
  });
}

/** Splits the areas at both ends of a range, whose last IOVA may wrap: it is checked later. */
function cutAround(ioas: Ioas, iova: bigint, length: bigint): void {
  const last = BigInt.asUintN(64, iova + length - 1n);
  cutIova(ioas.iopt, iova === 0n ? [last] : [last, iova - 1n]);
}

function unmapRange(
  ioas: Ioas,
  iova: bigint,
  length: bigint,
  result: { unmapped: bigint },
): void {
  ioas.iopt.unmapIova(iova, length, result);
  const { revision } = ioas.ctx.kernel;
  if (!revision.vfio.emptyUnmapSucceeds && result.unmapped === 0n) {
    throw ENOENT.because("nothing is mapped in the range");
  }
}

/** Whether an unmap of the range comes to the point of counting bytes. */
function countsBytes(ctx: IommufdCtx, iova: bigint, length: bigint): boolean {
  return ctx.kernel.revision.vfio.unmapInitialisesSize ||
    (length !== 0n && iova + length - 1n <= U64_MAX);
}
