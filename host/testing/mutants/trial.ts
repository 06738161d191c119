// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs tests against a host that is broken on purpose, in a process of its own.
 *
 * @module
 */

import { importMapOf } from "../../../conformance/mutants/patch.ts";
import type { HostMutant, Killer } from "./mutant.ts";

const ROOT = new URL("../../../", import.meta.url);

/** How a trial ended: which tests failed, and whether the named one passed. */
export interface Trial {
  /** What the tests of a describe that failed are called. */
  readonly failed: readonly string[];
  /** What those that passed are called. */
  readonly passed: readonly string[];
  /** What was printed, for people. */
  readonly output: string;
}

/** Runs the tests beside a killer with a mutant, or without any. */
export async function tryTests(
  [file, about]: Killer,
  mutant?: HostMutant,
): Promise<Trial> {
  const importMap = importMapOf(
    mutant && { ...mutant, killer: mutant.killer.join(" ") },
  );
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "--allow-all",
      "--quiet",
      "--no-check",
      "--no-config",
      "--no-lock",
      `--import-map=${importMap}`,
      `--filter=${about}`,
      file,
    ],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  const output = decoder.decode(stdout) + decoder.decode(stderr);
  return {
    failed: namesEndingIn("FAILED", output),
    passed: namesEndingIn("ok", output),
    output,
  };
}

/** The tests that ended in a way, which are indented below what they are about. */
function namesEndingIn(end: string, output: string): string[] {
  const line = new RegExp(`^ +(.*) \\.\\.\\. ${end}\\b`, "gm");
  return [...output.matchAll(line)].map(([, name]) => name!);
}
