// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs that were worth keeping, in a file from run to run. It is text: files
 * of several machines are put together by writing one behind the other.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { Program } from "../../../selftests/target/program.ts";
import type { Host } from "../../lib/host.ts";
import { UsageError } from "../../lib/usage_error.ts";
import { formatProgram, parseProgram } from "../program/text.ts";

/** Stands in front of each program. */
const BETWEEN = "---";

/** The programs of a file, none if it is not there yet. Throws {@link UsageError} for one that cannot be read. */
export function readCorpus(
  { readText }: Pick<Host, "readText">,
  path: string,
  uapi: RevisionName,
): Program[] {
  const parts = (readText(path) ?? "").split(/^---$/m);
  return parts.flatMap((text, index) => {
    if (text.trim() === "") return [];
    try {
      return [parseProgram(text, uapi)];
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      throw new UsageError(
        `Cannot read program ${index} of "${path}" for uAPI ${uapi}: ${error.message}`,
      );
    }
  });
}

/** Writes programs to a file, in place of what is there. */
export function saveCorpus(
  { save }: Pick<Host, "save">,
  path: string,
  programs: readonly Program[],
  uapi: RevisionName,
): void {
  const texts = programs.map((program) =>
    `${BETWEEN}\n${formatProgram(program, uapi).trimEnd()}\n`
  );
  save(path, texts.join(""));
}
