// SPDX-License-Identifier: GPL-2.0-only

/**
 * Errors of the system, by the classes that Deno has for them.
 *
 * @module
 */

/** There is no such file or program. */
export class NotFound extends Error {
  /** Name of the class. */
  override name = "NotFound";
}

/** Nobody reads any more. */
export class BrokenPipe extends Error {
  /** Name of the class. */
  override name = "BrokenPipe";
}

const CLASSES: Readonly<Record<string, typeof NotFound>> = {
  ENOENT: NotFound,
  EPIPE: BrokenPipe,
};

/** What `call` returns; an error of Node is thrown as Deno has it. */
export function translated<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const { code = "", message } = error as { code?: string; message: string };
    const Class = CLASSES[code];
    throw Class === undefined ? error : new Class(message);
  }
}
