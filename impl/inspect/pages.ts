// SPDX-License-Identifier: GPL-2.0-only

/**
 * The memory behind the areas of a context.
 *
 * @module
 */

import {
  ACCOUNT_MM,
  ACCOUNT_NONE,
  ACCOUNT_USER,
} from "../iommufd/pages/accounting.ts";
import type { IoptPages } from "../iommufd/pages/pages.ts";
import type { Names } from "./names.ts";
import { type PagesRun, pagesRuns } from "./pages_runs.ts";
import { abridge, type Row, table } from "./table.ts";
import { bytes, count, grouped, range } from "./units.ts";

/** Pages that are shown at each end of a long list. */
const ENDS = 4;
/** Runs that are shown at each end of long pages. */
const RUN_ENDS = 4;

/** The lines about all pages that the names know. */
export function drawPages(names: Names, indent: string): string[] {
  const { allPages } = names;
  if (allPages.length === 0) return [];
  const rows = abridge(
    allPages,
    ENDS,
    ([pages, name]) => rowsOf(pages, name, names),
    (hidden) => summary(hidden.map(([pages]) => pages)),
  );
  const header = { cells: ["", "page", "pins", "kept in", "frames"] };
  return table([header, ...rows], { indent, right: [2] });
}

function rowsOf(pages: IoptPages, name: string, names: Names): Row[] {
  const runs = pagesRuns(pages, names);
  return [
    { cells: [name], rest: title(pages) },
    ...abridge(runs, RUN_ENDS, runRow, ({ length }) => ({
      cells: ["", "..."],
      rest: `${grouped(length)} runs not shown`,
    })),
  ];
}

/** Whose memory it is, and who is charged for it. */
function title(pages: IoptPages): string {
  const { owner, source, start, npages, npinned, writable } = pages;
  const access = writable ? "writable" : "read-only";
  const what = source.describe(
    `process ${owner.task.pid}`,
    `0x${start.toString(16)}`,
  );
  return `${count(npages, "page")} ${what}, ${access}, ` +
    `${grouped(npinned)} pinned, charged to ${charged(pages)}`;
}

function charged(pages: IoptPages): string {
  switch (pages.accountMode) {
    case ACCOUNT_NONE:
      return "nobody";
    case ACCOUNT_USER:
      return `user ${pages.owner.user.uid}`;
    case ACCOUNT_MM:
      return `process ${pages.owner.task.pid}`;
  }
}

function runRow(run: PagesRun): Row {
  return {
    cells: [
      "",
      range(run.first, run.last),
      run.frame < 0 ? "" : String(run.pins),
      run.place,
      frames(run),
    ],
  };
}

function frames({ frame, lastFrame, stretches }: PagesRun): string {
  if (frame < 0) return "";
  if (stretches === 1) return range(frame, lastFrame);
  return `${frame} ... ${lastFrame} in ${grouped(stretches)} stretches`;
}

function summary(hidden: readonly IoptPages[]): Row {
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
