// SPDX-License-Identifier: GPL-2.0-only

/**
 * How a command ends.
 *
 * @module
 */

/** An error of which the message is shown without a stack, and the exit code of the command that it ends. */
export abstract class CommandError extends Error {
  abstract readonly exitCode: number;
}

/** Runs a command; resolves to its exit code. The message of a {@link CommandError} that ends it is told. */
export async function runToExitCode(
  run: () => number | Promise<number>,
  tell: (message: string) => void,
): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    tell(error.message);
    return error.exitCode;
  }
}
