// SPDX-License-Identifier: GPL-2.0-only

/**
 * The IOVA axis of an IOAS as lines.
 *
 * @module
 */

import { U64_MAX } from "../../lib/u64.ts";
import type { AreaSnapshot, AxisSpan } from "../axis.ts";
import { address, bytes, count, range } from "../units.ts";
import { abridge, type Row, table } from "./table.ts";

/** Spans that are shown at each end of a long axis. */
const ENDS = 8;

/** The box that stands for what is at an IOVA. */
const BOX = { area: "|##|", reserved: "|xx|", free: "|  |", more: ":  :" };
const EDGE = "+--+";

/** The lines of the axis. */
export function drawAxis(spans: readonly AxisSpan[], indent: string): string[] {
  const rows = [
    { cells: ["IOVA", EDGE, "length", "prot", "pages", "storage", "accesses"] },
    ...abridge(spans, ENDS, rowOf, summary),
    { cells: [address(U64_MAX), EDGE] },
  ];
  return table(rows, { indent, right: [2, 6] });
}

function rowOf({ kind, start, last, area, owners }: AxisSpan): Row {
  const cells = [address(start), BOX[kind], bytes(last - start + 1n)];
  if (area !== undefined) return { cells: [...cells, ...ofArea(area)] };
  const rest = owners === undefined ? "" : `reserved by ${owners.join(", ")}`;
  return { cells, rest };
}

/** The columns prot, pages, storage and accesses. */
function ofArea(area: AreaSnapshot): string[] {
  const prot = (area.isReadable ? "r" : "-") + (area.isWritable ? "w" : "-");
  if (area.pages === undefined) return [prot, "in the making"];
  const offset = area.pageOffset === 0 ? "" : ` +${area.pageOffset}`;
  const accesses = area.accesses === 0 ? "" : String(area.accesses);
  return [
    prot,
    `${area.pages} ${range(area.index, area.lastIndex)}${offset}`,
    area.storage ?? "none",
    area.isClosing ? `${accesses} closing` : accesses,
  ];
}

function summary(hidden: readonly AxisSpan[]): Row {
  return {
    cells: ["...", BOX.more, ""],
    rest: `${inSum(hidden)} not shown`,
  };
}

/** Spans by their number: `99,992 areas of ~390.59 MiB, 99,993 free ranges`. */
export function inSum(spans: readonly AxisSpan[]): string {
  const of = (wanted: AxisSpan["kind"]) =>
    spans.filter(({ kind }) => kind === wanted);
  const areas = of("area");
  const length = areas.reduce((sum, { start, last }) => sum + last - start, 0n);
  return [
    `${count(areas.length, "area")} of ` +
    bytes(length + BigInt(areas.length)),
    count(of("reserved").length, "reserved range"),
    count(of("free").length, "free range"),
  ].filter((text) => !text.startsWith("0 ")).join(", ");
}
