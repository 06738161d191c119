// SPDX-License-Identifier: GPL-2.0-only

/**
 * VFIO_IOMMU_GET_INFO of a type1 container: page sizes, and three capabilities.
 *
 * Linux: vfio_iommu_type1_get_info.
 *
 * @module
 */

import type { Task } from "../../kernel/interfaces/task.ts";
import { IommuIovaRange } from "../../uapi/iommufd.ts";
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
import {
  VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION,
  VfioIommuType1InfoCapMigration,
} from "../../uapi/vfio/type1.ts";
import { load } from "../pci/structs.ts";
import { DIRTY_BITMAP_SIZE_MAX } from "./dirty.ts";
import type { Type1Iommu } from "./iommu.ts";

/** Capabilities begin at multiples of so many bytes. */
const CAP_ALIGNMENT = 8;

/** Answers with the struct, and the capabilities if all fit; argsz says how much is needed. Throws EFAULT, EINVAL. */
export function getInfo(iommu: Type1Iommu, task: Task, uaddr: number): void {
  const least = VfioIommuType1Info.minSizeIn("7.3");
  const { bytes, cmd } = load(task, uaddr, VfioIommuType1Info, least);
  const caps = capabilities(iommu, bytes.length);
  const total = bytes.length + caps.length;
  cmd.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
  cmd.iovaPgsizes = iommu.domain.pgsizeBitmap;
  cmd.capOffset = 0;
  const room = cmd.argsz;
  if (room < total) cmd.argsz = total;
  else {
    cmd.capOffset = bytes.length;
    task.mm.copyToUser(uaddr + bytes.length, caps);
  }
  task.mm.copyToUser(uaddr, bytes.subarray(0, room));
}

/** The chain, which begins at `start`. */
function capabilities(iommu: Type1Iommu, start: number): Uint8Array {
  const { ranges } = iommu;
  const list = new Uint8Array(16 * ranges.length);
  ranges.forEach((range, i) => list.set(IommuIovaRange.encode(range), 16 * i));
  const caps = [
    VfioIommuType1InfoCapMigration.encode({
      id: VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION,
      version: 1,
      pgsizeBitmap: iommu.pageSize,
      maxDirtyBitmapSize: BigInt(DIRTY_BITMAP_SIZE_MAX),
    }),
    VfioIommuType1InfoDmaAvail.encode({
      id: VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
      version: 1,
      avail: iommu.available,
    }),
    Uint8Array.of(
      ...VfioIommuType1InfoCapIovaRange.encode({
        id: VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
        version: 1,
        nrIovas: ranges.length,
      }),
      ...list,
    ),
  ];
  const chain: number[] = [];
  for (const [i, cap] of caps.entries()) {
    const length = Math.ceil(cap.length / CAP_ALIGNMENT) * CAP_ALIGNMENT;
    const padded = new Uint8Array(length);
    padded.set(cap);
    const next = start + chain.length + length;
    if (i + 1 < caps.length) VfioInfoCapHeader.at(padded).next = next;
    chain.push(...padded);
  }
  return Uint8Array.from(chain);
}
