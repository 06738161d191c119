// SPDX-License-Identifier: GPL-2.0-only

/**
 * What tells one state of the suite from another.
 *
 * @module
 */

import * as SOURCES from "../../selftests/sources.ts";
import type { SuiteInfo } from "../reports/results.ts";
import { SUITE_NAME, VERSION } from "../lib/version.ts";

/** Hexadecimal digits of the hash that reports show. */
const HASH_DIGITS = 12;

/**
 * Name, version and hash of the suite. The hash is over the sources of the
 * tests and of all that they import: helpers, tables, the numbers and structs
 * of the uAPI, the differences between revisions. It does not depend on what
 * is selected.
 */
export async function suiteInfo(
  sources: Readonly<Record<string, string>> = SOURCES,
): Promise<SuiteInfo> {
  const text = JSON.stringify(Object.entries(sources).sort());
  const bytes = new TextEncoder().encode(text);
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  const hash = new Uint8Array(digest).toHex().slice(0, HASH_DIGITS);
  return { name: SUITE_NAME, version: VERSION, hash };
}
