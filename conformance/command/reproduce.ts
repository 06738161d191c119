// SPDX-License-Identifier: GPL-2.0-only

/**
 * Commands that show a failure again.
 *
 * @module
 */

import type { Options } from "../running/options.ts";
import type { Commands } from "../reports/failure_facts.ts";
import { DEFAULT_TIMEOUT_MS } from "../running/run_one.ts";

/** The commands for the failures of a run with these options; `command` calls this one. */
export function reproduceCommands(
  command: string,
  { timeoutMs, expectations, isolate }: Pick<
    Options,
    "timeoutMs" | "expectations" | "isolate"
  >,
): Commands {
  return {
    rerun(spec, { id, uapi, expected }) {
      const words = [command];
      if (spec !== "impl:") words.push("--target", shellWord(spec));
      words.push("--uapi", uapi);
      // A probe runs whenever a test needs what it tries.
      if (!id.startsWith("probe.")) words.push("--filter", shellWord(id));
      if (timeoutMs !== DEFAULT_TIMEOUT_MS) {
        words.push("--timeout", String(timeoutMs));
      }
      if (isolate !== "run") words.push("--isolate", isolate);
      if (expected && expectations !== undefined) {
        words.push("--expectations", shellWord(expectations));
      }
      return words.join(" ");
    },
    replay: (path) => `${command} --target ${shellWord(`replay:${path}`)}`,
  };
}

/** A word as a shell reads it. */
export function shellWord(word: string): string {
  if (/^[\w.,:=@%+/-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
