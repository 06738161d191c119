// SPDX-License-Identifier: GPL-2.0-only

/**
 * The IOVA axis of an IOAS: areas, reserved ranges and what is free between
 * them, lowest IOVA first.
 *
 * @module
 */

import { IOMMU_READ, IOMMU_WRITE } from "../iommu/domain.ts";
import type { IoptArea } from "../iommufd/pages/area.ts";
import type { IoPagetable } from "../iommufd/ioas/io_pagetable.ts";
import { U64_MAX } from "../lib/u64.ts";
import type { Names } from "./names.ts";

/** An area. */
export interface AreaSnapshot {
  /** A device may read. */
  readonly isReadable: boolean;
  /** A device may write. */
  readonly isWritable: boolean;
  /** What it maps, as `P1`; undefined while it is in the making. */
  readonly pages: string | undefined;
  /** Index of the first page that it maps. */
  readonly index: number;
  /** Index of the last one, inclusive. */
  readonly lastIndex: number;
  /** Bytes of the first page that lie before the area. */
  readonly pageOffset: number;
  /** The HWPT whose IO page table is storage for the frame numbers, as `HWPT 4`. */
  readonly storage: string | undefined;
  /** Pins by accesses that are on it. */
  readonly accesses: number;
  /** An unmap waits for these. */
  readonly isClosing: boolean;
}

/** One piece of the axis. */
export interface AxisSpan {
  /** What is there. */
  readonly kind: "area" | "reserved" | "free";
  /** Its first IOVA. */
  readonly start: bigint;
  /** Its last IOVA, inclusive. */
  readonly last: bigint;
  /** The area. */
  readonly area?: AreaSnapshot;
  /** Who reserved it. */
  readonly owners?: readonly string[];
}

/** Areas and reserved ranges in order, with the holes between them. */
export function spansOf(iopt: IoPagetable, names: Names): AxisSpan[] {
  const used: AxisSpan[] = [
    ...reservedSpans(iopt, names),
    ...Array.from(iopt.areas, (each): AxisSpan => {
      const area = snapshotArea(each, names);
      return { kind: "area", start: each.iova, last: each.lastIova, area };
    }),
  ].sort((a, b) => a.start < b.start ? -1 : a.start > b.start ? 1 : 0);

  const spans: AxisSpan[] = [];
  let next = 0n;
  for (const span of used) {
    if (span.start > next) {
      spans.push({ kind: "free", start: next, last: span.start - 1n });
    }
    spans.push(span);
    if (span.last >= next) next = span.last + 1n;
  }
  if (next <= U64_MAX) spans.push({ kind: "free", start: next, last: U64_MAX });
  return spans;
}

/** Reserved ranges; the same range of several owners is one span. */
function reservedSpans(iopt: IoPagetable, names: Names): AxisSpan[] {
  const spans = new Map<string, AxisSpan & { readonly owners: string[] }>();
  for (const { start, last, owner } of iopt.reserved) {
    const key = `${start}-${last}`;
    let span = spans.get(key);
    if (span === undefined) {
      span = { kind: "reserved", start, last, owners: [] };
      spans.set(key, span);
    }
    span.owners.push(names.owner(owner));
  }
  return [...spans.values()];
}

function snapshotArea(area: IoptArea, names: Names): AreaSnapshot {
  const { pages, prot, index, lastIndex, pageOffset } = area;
  return {
    isReadable: (prot & IOMMU_READ) !== 0,
    isWritable: (prot & IOMMU_WRITE) !== 0,
    pages: pages === null ? undefined : names.pages(pages),
    index: pages === null ? 0 : index,
    lastIndex: pages === null ? 0 : lastIndex,
    pageOffset,
    storage: names.hwpt(area.storageDomain),
    accesses: area.numAccesses,
    isClosing: area.preventAccess,
  };
}
