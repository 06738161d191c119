// SPDX-License-Identifier: GPL-2.0-only

/**
 * Lists tests without running them.
 *
 * @module
 */

import type { RevisionName } from "../impl/uapi/revision.ts";
import type { Test } from "../selftests/harness.ts";
import { skipReason } from "./runner.ts";
import type { TargetInfo } from "./target.ts";

/** The selected tests of one revision, and the target that would run them. */
export interface ListedRevision {
  /** The revision. */
  readonly uapi: RevisionName;
  /** What the target says about itself. */
  readonly info: TargetInfo;
  /** The tests in order. */
  readonly tests: readonly Test[];
}

/**
 * One line for each test: its id, followed by `# SKIP reason` where the target
 * could not run it. Several revisions are told apart by a first column.
 */
export function formatList(revisions: readonly ListedRevision[]): string {
  const width = Math.max(...revisions.map(({ uapi }) => uapi.length));
  return revisions.flatMap(({ uapi, info, tests }) => {
    const column = revisions.length > 1 ? `${uapi.padEnd(width)}  ` : "";
    return tests.map((test) => {
      const skip = skipReason(test, info);
      return `${column}${test.id}${skip ? ` # SKIP ${skip.reason}` : ""}\n`;
    });
  }).join("");
}

/** All that is known of the tests, as a JSON array. */
export function formatListJson(revisions: readonly ListedRevision[]): string {
  const tests = revisions.flatMap(({ uapi, info, tests }) =>
    tests.map((test) => {
      const { id, upstream, needs, description, reference } = test;
      const skip = skipReason(test, info);
      return {
        id,
        uapi,
        upstream,
        needs,
        description,
        reference,
        ...skip && { skip: skip.reason },
      };
    })
  );
  return JSON.stringify(tests, null, 2) + "\n";
}
