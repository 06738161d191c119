// SPDX-License-Identifier: GPL-2.0-only

/**
 * The memory behind the areas of a context as lines.
 *
 * @module
 */

import type { PagesSnapshot } from "../pages.ts";
import type { PagesRun } from "../pages_runs.ts";
import { bytes, count, grouped, range } from "../units.ts";
import { abridge, type Row, table } from "./table.ts";

/** Pages that are shown at each end of a long list. */
const ENDS = 4;
/** Runs that are shown at each end of long pages. */
const RUN_ENDS = 4;

/** The lines about all pages. */
export function drawPages(
  all: readonly PagesSnapshot[],
  indent: string,
): string[] {
  if (all.length === 0) return [];
  const rows = abridge(all, ENDS, rowsOf, summary);
  const header = { cells: ["", "page", "pins", "kept in", "frames"] };
  return table([header, ...rows], { indent, right: [2] });
}

function rowsOf(pages: PagesSnapshot): Row[] {
  return [
    { cells: [pages.name], rest: pagesTitle(pages) },
    ...abridge(pages.runs, RUN_ENDS, runRow, ({ length }) => ({
      cells: ["", "..."],
      rest: `${grouped(length)} runs not shown`,
    })),
  ];
}

/** Whose memory it is, and who is charged for it. */
export function pagesTitle(pages: PagesSnapshot): string {
  const access = pages.isWritable ? "writable" : "read-only";
  return `${count(pages.npages, "page")} ${pages.source}, ${access}, ` +
    `${grouped(pages.npinned)} pinned, charged to ${pages.charged}`;
}

function runRow(run: PagesRun): Row {
  return {
    cells: [
      "",
      range(run.first, run.last),
      run.frame < 0 ? "" : String(run.pins),
      run.place,
      framesOf(run),
    ],
  };
}

/** The frames of a run, `2-17`; nothing where no page is pinned. */
export function framesOf({ frame, lastFrame, stretches }: PagesRun): string {
  if (frame < 0) return "";
  if (stretches === 1) return range(frame, lastFrame);
  return `${frame} ... ${lastFrame} in ${grouped(stretches)} stretches`;
}

function summary(hidden: readonly PagesSnapshot[]): Row {
  let npages = 0;
  let npinned = 0;
  for (const pages of hidden) {
    npages += pages.npages;
    npinned += pages.npinned;
  }
  return {
    cells: ["..."],
    rest:
      `${grouped(hidden.length)} more of ${bytes(BigInt(npages) * 4096n)}, ` +
      `${grouped(npinned)} of their ${count(npages, "page")} pinned, not shown`,
  };
}
