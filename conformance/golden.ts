// SPDX-License-Identifier: GPL-2.0-only

/**
 * The command of golden traces: plays what real kernels did on a target, or
 * records it. `--help` lists its options.
 *
 * @example
 * ```sh
 * deno task traces --target "stdio:./my_adapter"
 * ```
 *
 * @module
 */

import { runTraces } from "./golden/command.ts";
import { denoHost } from "./lib/host.ts";
import { parseTarget } from "./targets.ts";

/** Runs the command with its arguments; resolves to the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return runTraces(args, { host: denoHost(), parseTarget });
}

if (import.meta.main) Deno.exit(await main(Deno.args));
