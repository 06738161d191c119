// SPDX-License-Identifier: GPL-2.0-only

/**
 * VFIO_IOMMU_GET_INFO: page sizes, and a chain of capabilities that follows
 * the struct as far as the caller has room.
 *
 * Linux: iommufd_vfio_iommu_get_info of vfio_compat.c.
 *
 * @module
 */

import type { Mm } from "../../kernel/interfaces/mm.ts";
import { SpanIterator } from "../../lib/span_iterator.ts";
import { alignUp, U64_MAX } from "../../lib/u64.ts";
import { EINVAL } from "../../uapi/errno.ts";
import { IommuIovaRange } from "../../uapi/iommufd.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import type { Revision } from "../../uapi/revision.ts";
import {
  VFIO_IOMMU_INFO_CAPS,
  VFIO_IOMMU_INFO_PGSIZES,
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
  VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
  VfioInfoCapHeader,
  VfioIommuType1Info,
  VfioIommuType1InfoCapIovaRange,
  VfioIommuType1InfoDmaAvail,
} from "../../uapi/vfio.ts";
import { getCompatIoas } from "./compat_ioas.ts";
import type { IoPagetable } from "../ioas/io_pagetable.ts";
import type { IommufdCtx } from "../main.ts";

/** Version of the capabilities' layout. */
const CAP_VERSION = 1;

/**
 * Where a capability goes: `uaddr` with `avail` bytes of room. It is written
 * as far as it fits.
 */
interface CapPlace {
  readonly mm: Mm;
  readonly uaddr: number;
  readonly avail: number;
}

/** Writes a capability and returns the bytes that it needs. Throws EFAULT. */
type FillCap = (iopt: IoPagetable, place: CapPlace) => number;

/** VFIO_IOMMU_GET_INFO. Nothing is written beyond the caller's argsz. */
export function vfioGetInfo(ctx: IommufdCtx, mm: Mm, uaddr: number): void {
  const bytes = new Uint8Array(VfioIommuType1Info.size);
  const minSize = VfioIommuType1Info.offsetofend("iovaPgsizes");
  mm.copyFromUser(bytes.subarray(0, minSize), uaddr);
  const info = VfioIommuType1Info.at(bytes);
  const { argsz } = info;
  if (argsz < minSize) throw EINVAL.because("argsz is too small");

  getCompatIoas(ctx).putAfter((ioas) => {
    info.iovaPgsizes = pageSizes(ioas.iopt);
    const total = writeCaps(ioas.iopt, mm, uaddr, argsz);
    info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
    info.capOffset = argsz >= total ? bytes.length : 0;
    info.argsz = total;
    mm.copyToUser(uaddr, bytes.subarray(0, Math.min(argsz, bytes.length)));
  });
}

/**
 * The page sizes that all domains have. Sizes below a CPU page count as one;
 * none is below the alignment. (Linux: iommufd_get_pagesizes.)
 */
function pageSizes(iopt: IoPagetable): bigint {
  const belowPage = BigInt(PAGE_SIZE - 1);
  let sizes = U64_MAX;
  for (const domain of iopt.domains) sizes &= domain.pgsizeBitmap;
  if (sizes & belowPage) sizes = (sizes & ~belowPage) | BigInt(PAGE_SIZE);
  const alignment = BigInt(iopt.iovaAlignment);
  return sizes > alignment ? sizes : alignment;
}

/** Writes the chain; returns the bytes that all of it needs, the struct included. */
function writeCaps(
  iopt: IoPagetable,
  mm: Mm,
  uaddr: number,
  argsz: number,
): number {
  const { revision } = iopt.kernel;
  const fills: readonly FillCap[] = revision.vfio.capsDmaAvailFirst
    ? [fillDmaAvail, fillIovaRanges]
    : [fillIovaRanges, fillDmaAvail];
  let total = VfioIommuType1Info.size;
  let previous: number | undefined;
  for (const fill of fills) {
    const avail = Math.max(argsz - total, 0);
    const size = fill(iopt, { mm, uaddr: uaddr + total, avail });
    if (previous !== undefined && argsz >= total) {
      writeNext(mm, uaddr + previous, total);
    }
    previous = total;
    total += paddedSize(revision, size);
  }
  return total;
}

/** Capabilities are padded to 8 bytes in the layout that has DMA_AVAIL first. */
function paddedSize(revision: Revision, size: number): number {
  if (!revision.vfio.capsDmaAvailFirst) return size;
  return Number(alignUp(BigInt(size), 8n));
}

/** Chains a capability to the one at offset `next`. */
function writeNext(mm: Mm, uaddr: number, next: number): void {
  const { offset } = VfioInfoCapHeader.fields.next;
  const header = VfioInfoCapHeader.encode({ next });
  mm.putUser(uaddr + offset, header.subarray(offset));
}

/** The ranges of IOVA that are not reserved. Each is written if it fits, the head if all do. */
function fillIovaRanges(iopt: IoPagetable, place: CapPlace): number {
  const { mm, uaddr, avail } = place;
  const range = IommuIovaRange.encode();
  const view = IommuIovaRange.at(range);
  let size = VfioIommuType1InfoCapIovaRange.size;
  let nrIovas = 0;
  const span = new SpanIterator(iopt.reserved, 0n, U64_MAX);
  for (; !span.done; span.next()) {
    if (!span.isHole) continue;
    if (avail >= size + range.length) {
      view.start = span.start;
      view.last = span.last;
      mm.copyToUser(uaddr + size, range);
    }
    size += range.length;
    nrIovas++;
  }
  if (avail >= size) {
    mm.copyToUser(
      uaddr,
      VfioIommuType1InfoCapIovaRange.encode({
        id: VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
        version: CAP_VERSION,
        nrIovas,
      }),
    );
  }
  return size;
}

/** How many more mappings there may be: more than anybody needs, since memory is the limit. */
function fillDmaAvail(iopt: IoPagetable, place: CapPlace): number {
  const cap = VfioIommuType1InfoDmaAvail.encode({
    id: VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
    version: CAP_VERSION,
    avail: iopt.kernel.revision.vfio.dmaAvail,
  });
  if (place.avail >= cap.length) place.mm.copyToUser(place.uaddr, cap);
  return cap.length;
}
