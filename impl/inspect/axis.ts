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
import { abridge, type Row, table } from "./table.ts";
import { address, bytes, count, range } from "./units.ts";

/** Spans that are shown at each end of a long axis. */
const ENDS = 8;

/** The box that stands for what is at an IOVA. */
const BOX = { area: "|##|", reserved: "|xx|", free: "|  |", more: ":  :" };
const EDGE = "+--+";

/** One piece of the axis, `start` to `last` inclusive. */
interface Span {
  readonly kind: "area" | "reserved" | "free";
  readonly start: bigint;
  readonly last: bigint;
  /** The area. */
  readonly area?: IoptArea;
  /** Who reserved it. */
  readonly owners?: string[];
}

/** The lines of the axis. */
export function drawAxis(
  iopt: IoPagetable,
  names: Names,
  indent: string,
): string[] {
  // All pages get their names here, also those of areas that are left out.
  for (const { pages } of iopt.areas) if (pages !== null) names.pages(pages);
  const show = (span: Span) => rowOf(span, names);
  const rows = [
    { cells: ["IOVA", EDGE, "length", "prot", "pages", "storage", "accesses"] },
    ...abridge(spansOf(iopt, names), ENDS, show, summary),
    { cells: [address(U64_MAX), EDGE] },
  ];
  return table(rows, { indent, right: [2, 6] });
}

/** Areas and reserved ranges in order, with the holes between them. */
function spansOf(iopt: IoPagetable, names: Names): Span[] {
  const used: Span[] = [
    ...reservedSpans(iopt, names),
    ...Array.from(iopt.areas, (area): Span => {
      return { kind: "area", start: area.iova, last: area.lastIova, area };
    }),
  ].sort((a, b) => a.start < b.start ? -1 : a.start > b.start ? 1 : 0);

  const spans: Span[] = [];
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
function reservedSpans(iopt: IoPagetable, names: Names): Span[] {
  const spans = new Map<string, Span & { readonly owners: string[] }>();
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

function rowOf(span: Span, names: Names): Row {
  const { kind, start, last, area, owners } = span;
  const cells = [address(start), BOX[kind], bytes(last - start + 1n)];
  if (area !== undefined) return { cells: [...cells, ...ofArea(area, names)] };
  const rest = owners === undefined ? "" : `reserved by ${owners.join(", ")}`;
  return { cells, rest };
}

/** The columns prot, pages, storage and accesses. */
function ofArea(area: IoptArea, names: Names): string[] {
  const read = area.prot & IOMMU_READ ? "r" : "-";
  const write = area.prot & IOMMU_WRITE ? "w" : "-";
  if (area.pages === null) return [read + write, "in the making"];
  const offset = area.pageOffset === 0 ? "" : ` +${area.pageOffset}`;
  const indexes = range(area.index, area.lastIndex);
  const accesses = area.numAccesses === 0 ? "" : String(area.numAccesses);
  return [
    read + write,
    `${names.pages(area.pages)} ${indexes}${offset}`,
    names.hwpt(area.storageDomain) ?? "none",
    area.preventAccess ? `${accesses} closing` : accesses,
  ];
}

function summary(hidden: readonly Span[]): Row {
  const of = (wanted: Span["kind"]) =>
    hidden.filter(({ kind }) => kind === wanted);
  const areas = of("area");
  const length = areas.reduce((sum, { start, last }) => sum + last - start, 0n);
  const what = [
    `${count(areas.length, "area")} of ` +
    bytes(length + BigInt(areas.length)),
    count(of("reserved").length, "reserved range"),
    count(of("free").length, "free range"),
  ].filter((text) => !text.startsWith("0 "));
  return {
    cells: ["...", BOX.more, ""],
    rest: `${what.join(", ")} not shown`,
  };
}
