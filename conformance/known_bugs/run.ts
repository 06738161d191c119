// SPDX-License-Identifier: GPL-2.0-only

/**
 * Looks whether real Linux still has its known bugs: runs the program of each
 * in a virtual machine of its own, as some leave nothing to go on with. Arguments:
 * which kernels, by default all. Fails if a bug is gone, so that its row ends.
 *
 * @module
 */

import type { Test } from "../../selftests/harness/harness.ts";
import { chosenKernels } from "../linux_vm/build.ts";
import type { Kernel } from "../linux_vm/kernels/kernels.ts";
import { parseLinuxVm } from "../linux_vm/target.ts";
import { runTest } from "../running/run_one.ts";
import { knownBugPrograms } from "./programs.ts";

/** Milliseconds until a program counts as hung. */
const TIMEOUT_MS = 20_000;

/** What became of a bug: the problem that was seen, or undefined where none was. */
async function problemOf(
  program: Test,
  { revision }: Kernel,
): Promise<string | undefined> {
  const spec = `linux-vm:${revision}`;
  const target = await parseLinuxVm(revision, spec).open(revision, {
    timeoutMs: TIMEOUT_MS,
  });
  try {
    const options = { timeoutMs: TIMEOUT_MS };
    const { status, message } = await runTest(program, target, options);
    return status === "pass" ? undefined : message;
  } finally {
    await target.close();
  }
}

/** Looks at all of them; resolves to the exit code. */
async function main(args: readonly string[]): Promise<number> {
  let code = 0;
  for (const kernel of chosenKernels(args)) {
    const { revision, mends } = kernel;
    for (const program of knownBugPrograms()) {
      if (!program.uapi.includes(revision)) continue;
      const problem = await problemOf(program, kernel);
      const isMended = mends.some(({ bug }) => bug === program.name);
      const isAsExpected = isMended === (problem === undefined);
      if (!isAsExpected) code = 1;
      const gone = isMended ? "mended" : "GONE";
      const seen = problem === undefined ? gone : `there: ${problem}`;
      console.log(`Linux ${revision}: ${program.name} is ${seen}`);
    }
  }
  return code;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
