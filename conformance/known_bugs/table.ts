// SPDX-License-Identifier: GPL-2.0-only

/**
 * The known bugs of Linux as the table in README.md.
 *
 * @module
 */

import {
  type BugOfLinux,
  KNOWN_BUGS,
} from "../../selftests/harness/known_bugs.ts";

/** Which versions have a bug. */
function versionsOf({ since, until }: BugOfLinux): string {
  return until === undefined ? `since ${since}` : `${since} to before ${until}`;
}

/** The table: a line for each bug, with one space around what is in a cell. */
export function formatKnownBugs(): string[] {
  return [
    ["name", "Linux", "what it does", "here"],
    ...Object.entries<BugOfLinux>(KNOWN_BUGS).map((
      [name, bug],
    ) => [`\`${name}\``, versionsOf(bug), bug.linux, bug.right]),
  ].map((cells) => `| ${cells.join(" | ")} |`);
}
