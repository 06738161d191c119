// SPDX-License-Identifier: GPL-2.0-only

/**
 * A finding as a transcript of the adapter protocol: what the other side was
 * asked, and answered.
 *
 * @module
 */

import { formatText } from "../../protocol/codec.ts";
import { formatOutcomes, formatSteps } from "../../protocol/program.ts";
import { type Exchange, formatTranscript } from "../../traces/transcript.ts";
import { needsOf } from "./machine.ts";
import { aboutFinding, type Finding } from "./finding.ts";

/** Bytes of pages, as all targets that were compared have them. */
const PAGES = { pageSize: 4096, hugePageSize: 2 ** 21 };

/**
 * The transcript. Played back by `replay:FILE`, it is a target that gives the
 * answers of the other side to this program, and to no other one.
 */
export function transcriptOf(finding: Finding): string {
  const { program, theirs, uapi, names } = finding;
  const { outcomes, problems } = theirs;
  const isWhole = outcomes.length === program.length;
  const asked: Exchange = {
    request: `0 program ${formatSteps(program)}`,
    reply: isWhole
      ? ["ok", ...formatOutcomes(program, outcomes)].join(" ")
      : undefined,
  };
  const reset: Exchange = {
    request: "0 reset",
    reply: ["ok", ...problems.map(formatText)].join(" "),
  };
  const info = {
    name: names.theirs,
    version: "-",
    uapi,
    ...PAGES,
    capabilities: ["program", ...needsOf(finding)],
  };
  const about = ["test fuzz.finding", ...aboutFinding(finding)];
  return formatTranscript(
    info,
    isWhole ? [asked, reset] : [asked],
    about,
    false,
  );
}
