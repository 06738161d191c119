// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs tests against a host that is broken on purpose, in a process of its own.
 *
 * @module
 */

import { changeOf, importMapOf } from "../../../conformance/mutants/patch.ts";
import type { HostMutant, Killer } from "./mutant.ts";

const ROOT = new URL("../../../", import.meta.url);

/** Milliseconds after which tests count as hung: without a fault they take a few hundredths of that. */
const HUNG_MS = 60_000;

/** How a trial ended: which tests failed, and which passed. */
export interface Trial {
  /** Whether it had to be stopped. */
  readonly hung: boolean;
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
  const changes = mutant
    ? [changeOf({ ...mutant, killer: mutant.killer.join(" ") })]
    : [];
  const { stdout, stderr, signal } = await new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "--allow-all",
      "--quiet",
      "--no-check",
      "--no-config",
      "--no-lock",
      `--import-map=${importMapOf(...changes)}`,
      `--filter=${about}`,
      file,
    ],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(HUNG_MS),
  }).output();
  const decoder = new TextDecoder();
  const output = decoder.decode(stdout) + decoder.decode(stderr);
  return {
    hung: signal !== null,
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
