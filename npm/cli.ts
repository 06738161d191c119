// SPDX-License-Identifier: GPL-2.0-only

/**
 * The conformance runner's command in the npm package, on Node, Bun and Deno.
 *
 * @module
 */

import "./runtime/newer.ts";
import { allTests } from "../selftests/all.ts";
import { runCommand } from "../conformance/command/command.ts";
import { denoHost } from "../conformance/lib/host.ts";
import { UsageError } from "../conformance/lib/usage_error.ts";
import type { TargetSpec } from "../conformance/targets/target_spec.ts";
import { parseTarget } from "../conformance/targets.ts";

/** Runs the command with its arguments; resolves to the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return runCommand(args, {
    host: denoHost(),
    command: "npx iommufd-kit",
    allTests,
    parseTarget: parsePackaged,
  });
}

/** Reads a target's name, unless it needs what the package does not have. Throws {@link UsageError}. */
function parsePackaged(spec: string): TargetSpec {
  if (/^linux-(vm|uml|here):/.test(spec)) {
    throw new UsageError(
      `Cannot use target "${spec}": it needs Deno and a clone of the kit.`,
    );
  }
  return parseTarget(spec);
}
