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

/** A range of memory that was mapped once, whatever areas have copies of it. */
export interface PagesSnapshot {
  /** `P1`, in the order of IOASes and IOVA. */
  readonly name: string;
  /** Whose memory it is, as `of process 1 at 0x10000000`. */
  readonly source: string;
  /** Pages of 4 KiB. */
  readonly npages: number;
  /** How many of them iommufd has pinned. */
  readonly npinned: number;
  /** Devices may write to it. */
  readonly isWritable: boolean;
  /** Who is charged for what is pinned, as `user 1000`. */
  readonly charged: string;
  /** Where the frame numbers are kept, by index. */
  readonly runs: readonly PagesRun[];
}

/** Pages, with what they are called. */
export function snapshotPages(
  pages: IoptPages,
  name: string,
  names: Names,
): PagesSnapshot {
  const { owner, source, start, npages, npinned, writable } = pages;
  return {
    name,
    source: source.describe(
      `process ${owner.task.pid}`,
      `0x${start.toString(16)}`,
    ),
    npages,
    npinned,
    isWritable: writable,
    charged: chargedFor(pages),
    runs: pagesRuns(pages, names),
  };
}

function chargedFor(pages: IoptPages): string {
  switch (pages.accountMode) {
    case ACCOUNT_NONE:
      return "nobody";
    case ACCOUNT_USER:
      return `user ${pages.owner.user.uid}`;
    case ACCOUNT_MM:
      return `process ${pages.owner.task.pid}`;
  }
}
