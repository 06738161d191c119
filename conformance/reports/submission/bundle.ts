// SPDX-License-Identifier: GPL-2.0-only

/**
 * The submission bundle: a run in one file, to be handed to somebody who does
 * not have the machine: the JSON report with what ran where, and all calls of
 * the failures.
 *
 * @module
 */

import { verdictsOf } from "../cases.ts";
import { type JsonReport, jsonReport } from "../formats/json.ts";
import type { Run } from "../results.ts";

/** The version of the form of bundles. */
const BUNDLE = 1;

/** The calls of a test that failed, in the form of the adapter protocol. */
export interface BundledTranscript {
  /** The target as it was named. */
  readonly spec: string;
  /** The revision. */
  readonly uapi: string;
  /** The test or case. */
  readonly id: string;
  /** False where the middle is left out: the calls were not saved, and no more was kept of them. */
  readonly whole: boolean;
  /** The lines: what `--target replay:FILE` plays back. */
  readonly text: string;
}

/** A bundle. */
export interface Bundle {
  /** The version of this form. */
  readonly bundle: typeof BUNDLE;
  /** The run. */
  readonly report: JsonReport;
  /** The calls of what failed. */
  readonly transcripts: readonly BundledTranscript[];
}

/** The bundle of a run; `readText` reads the files of transcripts. */
function bundleOf(
  run: Run,
  readText: (path: string) => string | undefined,
): Bundle {
  const transcripts = run.columns.flatMap(({ spec, uapi, results }) =>
    verdictsOf(results).flatMap(({ id, transcript }) => {
      if (transcript === undefined) return [];
      const { path, text: shown } = transcript;
      const text = path === undefined ? undefined : readText(path);
      const whole = text !== undefined;
      return [{ spec, uapi, id, whole, text: text ?? shown }];
    })
  );
  return { bundle: BUNDLE, report: jsonReport(run), transcripts };
}

/** A run as the text of a bundle. */
export function formatBundle(
  run: Run,
  readText: (path: string) => string | undefined,
): string {
  return JSON.stringify(bundleOf(run, readText), null, 2) + "\n";
}
