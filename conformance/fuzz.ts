// SPDX-License-Identifier: GPL-2.0-only

/**
 * The fuzzer's command: runs random programs on the model and on a target, and
 * says where they differ. `--help` lists its options.
 *
 * @example
 * ```sh
 * deno task fuzz --target linux-vm:7.3 --minutes 10
 * ```
 *
 * @module
 */

import { runFuzz } from "./fuzz/command.ts";
import { runTraces } from "./golden/command.ts";
import { denoHost } from "./lib/host.ts";
import { parseRevision, parseTarget } from "./targets.ts";

/** Runs the command with its arguments; resolves to the exit code. */
export function main(args: readonly string[]): Promise<number> {
  const host = denoHost();
  return runFuzz(args, {
    host,
    parseTarget,
    parseRevision,
    playGolden: async (side) => {
      const target = side ? ["--target", side.name] : [];
      return await runTraces(target, { host, parseTarget }) === 0;
    },
    now: () => performance.now(),
  });
}

if (import.meta.main) Deno.exit(await main(Deno.args));
