// SPDX-License-Identifier: GPL-2.0-only

/**
 * Splits areas, as VFIO type1 version 1 lets its users do. Linux:
 * io_pagetable.c, iopt_cut_iova and iopt_area_split.
 *
 * @module
 */

import { EBUSY, EINVAL, EOPNOTSUPP } from "../../uapi/errno.ts";
import { IoptArea } from "../pages/area.ts";
import type { IoPagetable } from "./io_pagetable.ts";

/**
 * Splits the areas that map each of `iovas` so that it becomes the last IOVA
 * of an area; where nothing is mapped or an area ends already nothing happens.
 * The first error stops. Throws EBUSY for an area in the making or about to be
 * unmapped, EOPNOTSUPP for a DMA buffer, EINVAL where the cut is misaligned and where accesses use the area,
 * ENOMEM. The IOAS has no large pages any more.
 */
export function cutIova(iopt: IoPagetable, iovas: readonly bigint[]): void {
  for (const iova of iovas) {
    const area = iopt.areas.first(iova, iova);
    if (area) splitArea(iopt, area, iova);
  }
}

function splitArea(iopt: IoPagetable, area: IoptArea, iova: bigint): void {
  const { pages, storageDomain, iova: start, lastIova: last, prot } = area;
  const { kernel } = iopt;
  if (iova === start || iova === last) return;
  if (!pages || area.preventAccess) {
    throw EBUSY.because("an area is being mapped or unmapped");
  }
  if (pages.source.frames === undefined) {
    throw EOPNOTSUPP.because("the range cuts an area of a device's memory");
  }
  const rightStart = iova + 1n;
  const mask = BigInt(iopt.iovaAlignment - 1);
  if (rightStart & mask || area.startByte(rightStart) & mask) {
    throw EINVAL.because("the range cuts an area where it must not be cut");
  }
  kernel.step("area.split");
  // As posted, v3 splits it; a pin across the cut could never be given back.
  if (area.numAccesses > 0) {
    throw EINVAL.because("the range cuts an area that an access uses");
  }

  const halves = [[start, iova], [rightStart, last]] as const;
  const slices = halves.map(([from, to]) => {
    return { startByte: area.startByte(from), length: to - from + 1n };
  });
  iopt.areas.remove(area);
  if (storageDomain) pages.domainsTree.remove(area);
  pages.get();
  halves.forEach(([from, to], i) => {
    const half = new IoptArea(iopt, slices[i]!, prot);
    half.pages = pages;
    half.storageDomain = storageDomain;
    half.numAccesses = area.numAccesses;
    iopt.addArea(half, from, to);
    if (storageDomain) pages.domainsTree.insert(half);
  });
}
