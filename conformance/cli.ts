// SPDX-License-Identifier: GPL-2.0-only

/**
 * The conformance runner's command: runs the iommufd selftests against a
 * target and reports. `--help` lists its options.
 *
 * @example
 * ```sh
 * deno task conformance --uapi 6.12 --filter iommufd_ioas.mock_domain
 * ```
 *
 * @module
 */

import { allTests } from "../selftests/all.ts";
import { runCommand } from "./command/command.ts";
import { denoHost } from "./lib/host.ts";
import { invocation } from "./command/invocation.ts";
import { parseTarget } from "./targets.ts";

/** Runs the command with its arguments; resolves to the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return runCommand(args, {
    host: denoHost(),
    command: invocation(),
    allTests,
    parseTarget,
  });
}

if (import.meta.main) Deno.exit(await main(Deno.args));
