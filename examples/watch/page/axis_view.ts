// SPDX-License-Identifier: GPL-2.0-only

/**
 * The IOVA of an IOAS from left to right, and under it what the page tables of
 * its HWPTs map.
 *
 * @module
 */

import type {
  AreaSnapshot,
  AxisSpan,
  IoasSnapshot,
  IoPageRun,
  PageTableSnapshot,
} from "@iommufd/kit";
import { inSum } from "../../../impl/inspect/text/axis.ts";
import { ioasTitle } from "../../../impl/inspect/text/context.ts";
import {
  bytes,
  count,
  grouped,
  hex,
  range,
} from "../../../impl/inspect/units.ts";
import { type Piece, place, weightOfBytes } from "../play/place.ts";
import { CHARACTER, fits, h, roving, s } from "./dom.ts";
import type { PageElement } from "./browser.ts";
import { hueOf } from "./hues.ts";

/** A range of IOVA, both ends inclusive. */
export interface Range {
  readonly start: bigint;
  readonly last: bigint;
}

/** What an axis is drawn with. */
export interface AxisOptions {
  /** CSS pixels. */
  readonly width: number;
  /** What of it is looked at; undefined for all. */
  readonly zoom: Range | undefined;
  /** The same IOAS before the call; undefined for a new one. */
  readonly before: IoasSnapshot | undefined;
  /** Called to look at a part, or at all. */
  readonly onZoom: (zoom: Range | undefined) => void;
}

const TICKS = 16;
const CELL = 44;
const LABEL = 18;
const TABLE = 20;
const GAP = 6;

/** Spans that are looked at. */
export function spansIn(
  { spans }: IoasSnapshot,
  zoom: Range | undefined,
): readonly AxisSpan[] {
  if (zoom === undefined) return spans;
  return spans.filter(({ start, last }) =>
    last >= zoom.start && start <= zoom.last
  );
}

/** Draws an IOAS. */
export function axisView(
  ioas: IoasSnapshot,
  tables: readonly PageTableSnapshot[],
  { width, zoom, before, onZoom }: AxisOptions,
): PageElement {
  const known = new Set(before?.spans.map(keyOf));
  const isNew = (span: AxisSpan) =>
    span.kind === "area" && !known.has(keyOf(span));
  const pieces = place(spansIn(ioas, zoom), width, weightOf);
  const detail = h("p", { class: "detail", "aria-live": "polite" });
  const height = TICKS + CELL + tables.length * (LABEL + TABLE + GAP) + 2;
  const svg = s(
    "svg",
    {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "group",
      "aria-label": `IOVA of IOAS ${ioas.id}`,
    },
    ticks(pieces, width),
    pieces.map((piece) => cell(piece, isNew, detail, onZoom)),
    tables.map((table, i) =>
      tableStrip(table, pieces, TICKS + CELL + i * (LABEL + TABLE + GAP))
    ),
  );
  roving(svg, ".cell");
  return h(
    "section",
    { class: "ioas" },
    h("h3", {}, ioasTitle(ioas)),
    ioas.allowed.length === 0 ? undefined : h(
      "p",
      {},
      "kernel-chosen IOVA keeps to ",
      ioas.allowed.slice(0, 4).map(({ start, last }) =>
        `${hex(start)}-${hex(last)} `
      ),
      ioas.allowed.length > 4 ? `and ${ioas.allowed.length - 4} more` : "",
    ),
    zoom === undefined ? undefined : h(
      "p",
      {},
      `IOVA ${hex(zoom.start)}-${hex(zoom.last)} `,
      h(
        "button",
        { class: "small", click: () => onZoom(undefined) },
        "Show all IOVA",
      ),
    ),
    svg,
    detail,
  );
}

function weightOf({ kind, start, last }: AxisSpan): number {
  if (kind === "area") return 2 * weightOfBytes(last - start + 1n);
  return kind === "reserved" ? 3 : 2;
}

function keyOf({ kind, start, last, area }: AxisSpan): string {
  return `${kind} ${start} ${last} ${JSON.stringify(area)}`;
}

/** The first IOVA of pieces, where there is room. */
function ticks(
  pieces: readonly Piece<AxisSpan>[],
  width: number,
): PageElement[] {
  let free = 0;
  return pieces.flatMap(({ x, items }) => {
    const text = hex(items[0]!.start);
    const end = x + text.length * CHARACTER;
    if (x < free || end > width) return [];
    free = end + 8;
    return [s("text", { x, y: 11, class: "tick" }, text)];
  });
}

/** A piece of the axis. */
function cell(
  { x, width, items }: Piece<AxisSpan>,
  isNew: (span: AxisSpan) => boolean,
  detail: PageElement,
  onZoom: (zoom: Range) => void,
): PageElement {
  const [first] = items;
  const isOne = items.length === 1;
  const kind = isOne ? first!.kind : "many";
  const told = isOne ? tell(first!) : tellMany(items);
  const isChanged = items.some(isNew);
  const words = isChanged ? `${told}. Changed by this call` : told;
  const show = () => detail.textContent = words;
  const area = isOne ? first!.area : undefined;
  const labels = isOne ? labelsOf(first!) : [grouped(items.length), "spans"];
  return s(
    "g",
    {
      class: `cell ${kind}${isChanged ? " changed" : ""}`,
      style: hueOf(area?.pages),
      role: "button",
      "aria-label": words,
      focus: show,
      pointerenter: show,
      click: () => {
        show();
        if (!isOne) {
          onZoom({ start: first!.start, last: items.at(-1)!.last });
        }
      },
    },
    s("title", {}, words),
    s("rect", {
      class: "box",
      x: x + 0.5,
      y: TICKS,
      width: width - 1,
      height: CELL - 4,
    }),
    area === undefined ? undefined : s("rect", {
      class: "band",
      x: x + 0.5,
      y: TICKS,
      width: width - 1,
      height: 5,
    }),
    area !== undefined && area.accesses > 0
      ? s("circle", { class: "pin", cx: x + width - 8, cy: TICKS + 12, r: 4 })
      : undefined,
    labels.map((label, i) =>
      fits(label, width)
        ? s("text", { x: x + 5, y: TICKS + 19 + 14 * i }, label)
        : undefined
    ),
  );
}

function labelsOf({ kind, start, last, area, owners }: AxisSpan): string[] {
  const size = bytes(last - start + 1n);
  if (area !== undefined) return [nameOf(area), size];
  return owners === undefined ? [kind, size] : [kind, owners.join(", ")];
}

function nameOf({ pages, index, lastIndex }: AreaSnapshot): string {
  return pages === undefined ? "…" : `${pages} ${range(index, lastIndex)}`;
}

/** A span in words. */
function tell({ kind, start, last, area, owners }: AxisSpan): string {
  const where = `IOVA ${hex(start)}-${hex(last)}, ${bytes(last - start + 1n)}`;
  if (area === undefined) {
    return owners === undefined
      ? `${where}: ${kind}`
      : `${where}: reserved by ${owners.join(", ")}`;
  }
  const rights = [
    ...area.isReadable ? ["read"] : [],
    ...area.isWritable ? ["write"] : [],
  ].join(" and ");
  const offset = area.pageOffset === 0
    ? ""
    : ` from byte ${area.pageOffset} on`;
  return [
    `${where}: area of pages ${nameOf(area)}${offset}`,
    `devices may ${rights || "do nothing"}`,
    area.storage === undefined
      ? "no page table holds its frames"
      : `storage is ${area.storage}`,
    ...area.accesses > 0
      ? [count(area.accesses, "pin by accesses", "pins by accesses")]
      : [],
    ...area.isClosing ? ["an unmap waits for them"] : [],
  ].join(", ");
}

function tellMany(spans: readonly AxisSpan[]): string {
  const [first, last] = [spans[0]!.start, spans.at(-1)!.last];
  return `IOVA ${hex(first)}-${hex(last)}: ${
    inSum(spans)
  }. Press to look into it`;
}

/** What a page table maps, under the pieces of the axis. */
function tableStrip(
  { hwpt, runs }: PageTableSnapshot,
  pieces: readonly Piece<AxisSpan>[],
  y: number,
): PageElement {
  const total = runs.reduce((sum, { count }) => sum + count, 0);
  const title = `page table of HWPT ${hwpt}: ${count(total, "IO page")}`;
  let at = 0;
  return s(
    "g",
    { class: "pagetable", role: "img", "aria-label": title },
    s("text", { class: "tick", x: 0, y: y + 12 }, title),
    pieces.map((piece) => {
      const start = Number(piece.items[0]!.start);
      const end = Number(piece.items.at(-1)!.last + 1n);
      while (at < runs.length && endOf(runs[at]!) <= start) at++;
      const own: IoPageRun[] = [];
      for (let i = at; i < runs.length && runs[i]!.iova < end; i++) {
        own.push(runs[i]!);
      }
      if (own.length === 0) return undefined;
      if (piece.items.length > 1 || own.length * 3 > piece.width) {
        return sumOfRuns(own, piece, y + LABEL);
      }
      const scale = piece.width / (end - start);
      return own.map((run) => {
        const from = Math.max(run.iova, start);
        const x = piece.x + (from - start) * scale;
        const width = (Math.min(endOf(run), end) - from) * scale;
        return runBox(run, x, y + LABEL, width);
      });
    }),
  );
}

function endOf({ iova, size, count }: IoPageRun): number {
  return iova + size * count;
}

function sumOfRuns(
  runs: readonly IoPageRun[],
  { x, width }: Piece<AxisSpan>,
  y: number,
): PageElement {
  const pages = runs.reduce((sum, run) => sum + run.count, 0);
  const text = `${pages}`;
  return s(
    "g",
    { class: runs.some(({ isDirty }) => isDirty) ? "run dirty" : "run" },
    s(
      "title",
      {},
      `${count(pages, "IO page")} in ${count(runs.length, "run")}`,
    ),
    s("rect", { x: x + 0.5, y, width: width - 1, height: TABLE - 2 }),
    fits(text, width) ? s("text", { x: x + 4, y: y + 13 }, text) : undefined,
  );
}

function runBox(
  run: IoPageRun,
  x: number,
  y: number,
  width: number,
): PageElement {
  const { count, size, paddr, isDirty } = run;
  const pages = count === 1
    ? bytes(BigInt(size))
    : `${count} × ${bytes(BigInt(size))}`;
  const frame = Math.trunc(paddr / 4096);
  const lastFrame = Math.trunc((paddr + size * count - 1) / 4096);
  const numbers = range(frame, lastFrame);
  const frames = `${pages} → frames ${numbers}`;
  const words = `${frames}${isDirty ? ", dirty" : ""}`;
  const label = [words, frames, `${pages} → ${numbers}`, pages, `${count}`]
    .find((each) => fits(each, width));
  const page = width / count;
  return s(
    "g",
    { class: isDirty ? "run dirty" : "run" },
    s("title", {}, `IOVA ${hex(BigInt(run.iova))}: ${words}`),
    s("rect", {
      x: x + 0.5,
      y,
      width: Math.max(1, width - 1),
      height: TABLE - 2,
    }),
    page < 7
      ? undefined
      : Array.from({ length: count - 1 }, (_, i) =>
        s("line", {
          x1: x + page * (i + 1),
          x2: x + page * (i + 1),
          y1: y + TABLE - 8,
          y2: y + TABLE - 2,
        })),
    label === undefined ? undefined : s("text", { x: x + 4, y: y + 13 }, label),
  );
}
