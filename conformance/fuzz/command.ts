// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the fuzzer's command does, apart from the targets and the system.
 *
 * @module
 */

import { runToExitCode } from "../lib/exit_code.ts";
import { HELP } from "./help.ts";
import { parseOptions } from "./options.ts";
import { type Environment, runPrograms } from "./session.ts";

/** There is nothing to tell. */
const EXIT_OK = 0;

/** Runs the command with its arguments; resolves to the exit code. */
export function runFuzz(
  args: readonly string[],
  environment: Environment,
): Promise<number> {
  const { host } = environment;
  return runToExitCode(() => {
    const options = parseOptions(args);
    if (!options.help) return runPrograms(options, environment);
    host.out(HELP);
    return EXIT_OK;
  }, (message) => host.err(`${message}\n`));
}
