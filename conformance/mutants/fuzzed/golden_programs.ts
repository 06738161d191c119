// SPDX-License-Identifier: GPL-2.0-only

/**
 * The programs of golden traces, which a mutant is tried with first.
 *
 * @module
 */

import {
  REVISION_NAMES,
  type RevisionName,
} from "../../../impl/uapi/revision.ts";
import type { Need } from "../../../selftests/target/capabilities.ts";
import type { Program } from "../../../selftests/target/program.ts";
import { loadTraces, RECORDED } from "../../golden/files.ts";

/** The recorded revision that is nearest: the same one, or else the next newer one, or the newest. */
function recordedFor(uapi: RevisionName): RevisionName {
  const age = REVISION_NAMES.indexOf(uapi);
  return RECORDED.find((each) => REVISION_NAMES.indexOf(each) >= age) ??
    RECORDED.at(-1)!;
}

/** The programs that were recorded on machines with the same container, the shortest first. */
export async function goldenPrograms(
  uapi: RevisionName,
  isOwn: boolean,
): Promise<Program[]> {
  const need: Need = "type1_container";
  const { traces } = await loadTraces(recordedFor(uapi));
  return traces.filter(({ needs }) => needs.includes(need) === isOwn)
    .map(({ program }) => program)
    .sort((a, b) => a.length - b.length);
}
