// SPDX-License-Identifier: GPL-2.0-only

/**
 * The memory behind the areas: where its frame numbers are kept, and how often
 * frames are pinned.
 *
 * @module
 */

import type { PagesRun, PagesSnapshot } from "@iommufd/kit";
import { framesOf, pagesTitle } from "../../../impl/inspect/text/pages.ts";
import { abridge } from "../../../impl/inspect/text/table.ts";
import { bytes, count, grouped, range } from "../../../impl/inspect/units.ts";
import { type Piece, place, weightOfBytes } from "../play/place.ts";
import { fits, h, roving, s } from "./dom.ts";
import type { PageElement } from "./browser.ts";
import { hueOf } from "./hues.ts";

/** Pages that are drawn at each end of many. */
const ENDS = 4;
const HEIGHT = 46;

/** Draws memory; `before` is what there was before the call. */
export function memoryView(
  all: readonly PagesSnapshot[],
  before: readonly PagesSnapshot[],
  width: number,
): PageElement {
  const known = new Set(
    before.flatMap((pages) => pages.runs.map((run) => keyOf(pages, run))),
  );
  const parts = abridge<PagesSnapshot, PageElement>(
    all,
    ENDS,
    (pages) => pagesView(pages, known, width),
    (hidden) => h("p", { class: "more" }, sumOf(hidden)),
  );
  return h(
    "section",
    { class: "memory" },
    h("h3", {}, "Memory, and where its frame numbers are kept"),
    h(
      "p",
      { class: "legend" },
      h("span", { class: "tier user" }, "user memory: not pinned"),
      h("span", { class: "tier hwpt" }, "a HWPT's page table"),
      h("span", { class: "tier pinned" }, "pinned_pfns: pinned by accesses"),
    ),
    parts,
  );
}

function keyOf({ source }: PagesSnapshot, run: PagesRun): string {
  return `${source} ${JSON.stringify(run)}`;
}

function pagesView(
  pages: PagesSnapshot,
  known: ReadonlySet<string>,
  width: number,
): PageElement {
  const detail = h("p", { class: "detail", "aria-live": "polite" });
  const pieces = place(
    pages.runs,
    width,
    ({ first, last }) => weightOfBytes(BigInt(last - first + 1) * 4096n) ** 2,
  );
  const svg = s(
    "svg",
    {
      width,
      height: HEIGHT + 2,
      viewBox: `0 0 ${width} ${HEIGHT + 2}`,
      role: "group",
      "aria-label": `pages of ${pages.name}`,
    },
    pieces.map((piece) =>
      runs(
        piece,
        piece.items.some((run) => !known.has(keyOf(pages, run))),
        detail,
      )
    ),
  );
  roving(svg, ".cell");
  return h(
    "div",
    { class: "pages" },
    h(
      "h4",
      { style: hueOf(pages.name) },
      h("span", { class: "swatch" }, pages.name),
      ` ${pagesTitle(pages)}`,
    ),
    svg,
    detail,
  );
}

/** The class of the place where frame numbers are kept. */
function tierOf({ place, frame }: PagesRun): string {
  if (frame < 0) return "user";
  return place === "pinned_pfns" ? "pinned" : "hwpt";
}

function runs(
  { x, width, items }: Piece<PagesRun>,
  isChanged: boolean,
  detail: PageElement,
): PageElement {
  const [run] = items;
  const isOne = items.length === 1;
  const told = isOne
    ? tell(run!)
    : `pages ${
      range(run!.first, items.at(-1)!.last)
    } in ${items.length} runs, from ${tell(run!)} on`;
  const words = isChanged ? `${told}. Changed by this call` : told;
  const show = () => detail.textContent = words;
  const npages = run!.last - run!.first + 1;
  const page = width / npages;
  const labels = isOne ? labelsOf(run!) : [`${items.length} runs`];
  return s(
    "g",
    {
      class: `cell tier ${isOne ? tierOf(run!) : "many"}${
        isChanged ? " changed" : ""
      }`,
      role: "button",
      "aria-label": words,
      focus: show,
      pointerenter: show,
      click: show,
    },
    s("title", {}, words),
    s("rect", {
      class: "box",
      x: x + 0.5,
      y: 1,
      width: width - 1,
      height: HEIGHT - 2,
    }),
    !isOne || page < 7 ? undefined : Array.from(
      { length: npages - 1 },
      (_, i) =>
        s("line", {
          x1: x + page * (i + 1),
          x2: x + page * (i + 1),
          y1: HEIGHT - 9,
          y2: HEIGHT - 1,
        }),
    ),
    labels.map((label, i) =>
      fits(label, width)
        ? s("text", { x: x + 5, y: 15 + 14 * i }, label)
        : undefined
    ),
  );
}

function labelsOf(run: PagesRun): string[] {
  const pages = range(run.first, run.last);
  if (run.frame < 0) return [pages, run.place];
  return [
    `${pages} in ${run.place}`,
    `${pinsOf(run)}, frames ${framesOf(run)}`,
  ];
}

function pinsOf({ pins }: PagesRun): string {
  return `pinned ${pins}×`;
}

/** A run in words. */
function tell(run: PagesRun): string {
  const pages = range(run.first, run.last);
  const what = run.first === run.last ? `page ${pages}` : `pages ${pages}`;
  if (run.frame < 0) return `${what}: in ${run.place}, not pinned`;
  return `${what}: kept in ${run.place}, frames ${framesOf(run)}, each ${
    pinsOf(run)
  }`;
}

function sumOf(hidden: readonly PagesSnapshot[]): string {
  const npages = hidden.reduce((sum, each) => sum + each.npages, 0);
  const npinned = hidden.reduce((sum, each) => sum + each.npinned, 0);
  return `… ${grouped(hidden.length)} more of ${
    bytes(BigInt(npages) * 4096n)
  }, ${grouped(npinned)} of their ${count(npages, "page")} pinned`;
}
