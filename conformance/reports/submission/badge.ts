// SPDX-License-Identifier: GPL-2.0-only

/**
 * The badge: what an endpoint of shields.io answers, so that a page can show
 * how a run ended (https://shields.io/badges/endpoint-badge).
 *
 * @module
 */

import { allResults, count, isGood, type Run } from "../results.ts";

/** What the endpoint answers. It may have no other properties than shields knows. */
export interface Badge {
  /** The version of this form. */
  readonly schemaVersion: 1;
  /** The left side. */
  readonly label: string;
  /** The right side. */
  readonly message: string;
  /** The colour of the right side. */
  readonly color: "brightgreen" | "green" | "red";
}

/** The badge of a run: how many tests passed, in all revisions that ran. */
function badgeOf(run: Run): Badge {
  const { pass, total } = count(allResults(run));
  const revisions = new Set(run.columns.map(({ uapi }) => uapi));
  return {
    schemaVersion: 1,
    label: `iommufd ${[...revisions].join(", ")}`,
    message: `${pass} of ${total} tests`,
    // Skips and known failures are no failures, and not all that there is.
    color: !isGood(run) ? "red" : pass === total ? "brightgreen" : "green",
  };
}

/** A run as the text of a badge. */
export function formatBadge(run: Run): string {
  return JSON.stringify(badgeOf(run)) + "\n";
}
