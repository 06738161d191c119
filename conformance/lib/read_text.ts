// SPDX-License-Identifier: GPL-2.0-only

/**
 * Files that somebody else wrote.
 *
 * @module
 */

/** Bytes of the longest file that is read. */
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * The text of a file, without a byte order mark. What is no file (a folder, a
 * device, a pipe) may have no end: throws an Error.
 */
export function readText(path: string): string {
  // To open a pipe may take for ever as well.
  const { isFile, size } = Deno.statSync(path);
  if (!isFile) throw new Error("It is no file");
  if (size > MAX_BYTES) throw new Error(`It has more than ${MAX_BYTES} bytes`);
  return new TextDecoder().decode(Deno.readFileSync(path));
}
