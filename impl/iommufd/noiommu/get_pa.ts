// SPDX-License-Identifier: GPL-2.0-only

/**
 * IOMMU_IOAS_NOIOMMU_GET_PA: which memory an IOVA stands for. The driver of a
 * device without an IOMMU, in user space, tells the device addresses of memory.
 *
 * @module
 */

import type { Domain } from "../../iommu/domain.ts";
import type { Iova } from "../../lib/brands.ts";
import type { FrameList } from "../../lib/frame_list.ts";
import { U64_MAX } from "../../lib/u64.ts";
import {
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
} from "../../uapi/errno.ts";
import type { IommuIoasNoiommuGetPa } from "../../uapi/iommufd.ts";
import { CAP_SYS_RAWIO, PAGE_SIZE } from "../../uapi/mman.ts";
import type { IoPagetable } from "../ioas/io_pagetable.ts";
import { Ioas } from "../ioas/ioas.ts";
import {
  NO_LENGTH,
  RESERVED_FIELD,
  UNKNOWN_FLAG,
} from "../objects/refusals.ts";
import type { Ucmd } from "../objects/ucmd.ts";
import { NoIommuDomain } from "./domain.ts";

const PAGE = BigInt(PAGE_SIZE);

/** Physical memory. */
interface Memory {
  /** Address of its first byte. */
  readonly phys: bigint;
  /** Bytes. */
  readonly length: bigint;
}

/** IOMMU_IOAS_NOIOMMU_GET_PA. (Linux: iommufd_ioas_noiommu_get_pa.) */
export function ioasNoiommuGetPa(ucmd: Ucmd<IommuIoasNoiommuGetPa>): void {
  const { ctx, cmd, process } = ucmd;
  // Before anything else, unlike all other ioctls.
  if (!process.capable(CAP_SYS_RAWIO)) {
    throw EPERM.because("the process lacks CAP_SYS_RAWIO");
  }
  if (cmd.flags !== 0) throw UNKNOWN_FLAG;
  if (cmd.reserved !== 0) throw RESERVED_FIELD;
  if (cmd.length === 0n) throw NO_LENGTH;
  if (cmd.iova >= U64_MAX) throw EOVERFLOW.because("an IOVA is 2^64-1");
  ctx.objects.get(cmd.ioasId, Ioas).putAfter(({ iopt }) => {
    const { phys, length } = getPhys(iopt, cmd.iova, cmd.length);
    cmd.outPhys = phys;
    cmd.length = length;
    ucmd.respond();
  });
}

/**
 * The memory behind an IOVA, up to `length` bytes, as far as it goes on without
 * a gap and within the area. Throws ENOENT where nothing is mapped, EINVAL for
 * a DMA buffer that was taken back, EOPNOTSUPP where the area's frames are
 * remembered by another domain than that of a device without an IOMMU, or by
 * none. (Linux: iopt_get_phys.)
 */
function getPhys(iopt: IoPagetable, iova: bigint, length: bigint): Memory {
  const area = iopt.areas.first(iova, iova);
  if (!area?.pages) throw ENOENT.because("nothing is mapped in the range");
  if (area.pages.source.revoked) {
    throw EINVAL.because("the memory was taken back");
  }
  if (!(area.storageDomain instanceof NoIommuDomain)) {
    throw EOPNOTSUPP.because("no device without an IOMMU uses the IOAS");
  }
  const left = area.lastIova - iova + 1n;
  return readRun(area.storageDomain, iova, length < left ? length : left);
}

/** The first run of contiguous pages behind a range. */
function readRun(domain: Domain, iova: bigint, length: bigint): Memory {
  const offset = iova % PAGE;
  const npages = (offset + length + PAGE - 1n) / PAGE;
  const list: FrameList = {
    pfns: new Int32Array(1),
    npfns: new Int32Array(1),
    end: 0,
  };
  const start = Number(iova - offset) as Iova;
  const count = domain.readRuns(start, Number(npages), list, 1);
  const found = BigInt(count) * PAGE - offset;
  return {
    phys: BigInt(list.pfns[0]!) * PAGE + offset,
    length: found < length ? found : length,
  };
}
