// SPDX-License-Identifier: GPL-2.0-only

/**
 * What tells one state of the suite from another.
 *
 * @module
 */

import { REVISION_NAMES, type RevisionName } from "../../impl/uapi/revision.ts";
import type { Test } from "../../selftests/harness/harness.ts";
import type { SuiteInfo } from "../reports/results.ts";
import { SUITE_NAME, VERSION } from "../version.ts";

/** Hexadecimal digits of the hash that reports show. */
const HASH_DIGITS = 12;

/**
 * Name, version and hash of the suite. The hash is over all tests in all
 * revisions: what they are called, check and need, and the code of their
 * set-up and body. It does not depend on what is selected.
 */
export async function suiteInfo(
  allTests: (uapi: RevisionName) => readonly Test[],
): Promise<SuiteInfo> {
  const tests = REVISION_NAMES.map((uapi) =>
    allTests(uapi).map((
      { id, needs, program, description, reference, source },
    ) => [id, needs, program ?? null, description, reference, source])
  );
  const bytes = new TextEncoder().encode(JSON.stringify(tests));
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  const hash = new Uint8Array(digest).toHex().slice(0, HASH_DIGITS);
  return { name: SUITE_NAME, version: VERSION, hash };
}
