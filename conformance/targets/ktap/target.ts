// SPDX-License-Identifier: GPL-2.0-only

/**
 * `ktap:[REVISION,]FILE`: what the kernel's own selftests printed, as a target
 * that is not started.
 *
 * @module
 */

import { isRevisionName, REVISION_NAMES } from "../../../impl/uapi/revision.ts";
import { readText } from "../../lib/read_text.ts";
import { orUsageError, UsageError } from "../../lib/usage_error.ts";
import { refuseTarget, type TargetSpec } from "../target_spec.ts";
import { parseKtap } from "./parse.ts";

/** Reads the name of a file of results, and the file. Throws {@link UsageError}. */
export function parseKtapTarget(rest: string, spec: string): TargetSpec {
  const comma = rest.indexOf(",");
  const named = rest.slice(0, Math.max(comma, 0));
  const revision = isRevisionName(named) ? named : undefined;
  const path = revision === undefined ? rest : rest.slice(comma + 1);
  if (path === "") {
    refuseTarget(spec, "ktap: needs a file, as in ktap:selftests.txt.");
  }
  const ktap = orUsageError(
    `Cannot read the results "${path}"`,
    () => parseKtap(readText(path)),
  );
  return {
    spec,
    results: { name: "results of", version: path, ...ktap },
    revisions: () => Promise.resolve(revision ? [revision] : REVISION_NAMES),
    open: () =>
      Promise.reject(
        new UsageError(
          `Target "${spec}" holds results and makes no calls: only a run of the suite shows it.`,
        ),
      ),
  };
}
