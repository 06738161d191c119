// SPDX-License-Identifier: GPL-2.0-only

/**
 * A finding as files, one for each who wants to see it again.
 *
 * @module
 */

import type { Host } from "../../lib/host.ts";
import { exportSyzkaller } from "../syzkaller/export.ts";
import { cProgramOf } from "./c_program.ts";
import { type Finding, tellFinding } from "./finding.ts";
import { denoTestOf } from "./test_file.ts";
import { transcriptOf } from "./transcript.ts";

/** The finding as a program of syzkaller's; what that cannot say is in comments. */
export function syzkallerOf({ program, uapi, ours }: Finding): string {
  return exportSyzkaller(program, uapi, ours.outcomes);
}

/** How files of a finding end, and what they hold. */
const FILES: Readonly<Record<string, (finding: Finding) => string>> = {
  ".txt": tellFinding,
  "_test.ts": (finding) => denoTestOf(finding),
  ".c": (finding) => cProgramOf(finding),
  ".syz": syzkallerOf,
  ".transcript": transcriptOf,
};

/** Writes the files into a folder; the path that all their names begin with. */
export function saveFinding(
  { save }: Pick<Host, "save">,
  folder: string,
  finding: Finding,
): string {
  const name = finding.seed.replace(/ --count /, "-to-")
    .replace(/[^\w.-]+/g, "-");
  const path = `${folder}/finding-${name}`;
  for (const [end, write] of Object.entries(FILES)) {
    save(path + end, write(finding));
  }
  return path;
}
