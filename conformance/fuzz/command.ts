// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the fuzzer's command does, apart from the targets and the system.
 *
 * @module
 */

import { UsageError } from "../lib/usage_error.ts";
import { TargetStartError } from "../targets/test_target.ts";
import { HELP } from "./help.ts";
import { parseOptions } from "./options.ts";
import { type Environment, runPrograms } from "./session.ts";

/** There is nothing to tell. */
const EXIT_OK = 0;
/** The command line is wrong. */
const EXIT_USAGE = 2;
/** The target could not be started. */
const EXIT_TARGET = 3;

/** Runs the command with its arguments; resolves to the exit code. */
export async function runFuzz(
  args: readonly string[],
  environment: Environment,
): Promise<number> {
  const { host } = environment;
  try {
    const options = parseOptions(args);
    if (options.help) {
      host.out(HELP);
      return EXIT_OK;
    }
    return await runPrograms(options, environment);
  } catch (error) {
    const isUsage = error instanceof UsageError;
    if (!isUsage && !(error instanceof TargetStartError)) throw error;
    host.err(`${error.message}\n`);
    return isUsage ? EXIT_USAGE : EXIT_TARGET;
  }
}
