// SPDX-License-Identifier: GPL-2.0-only

/**
 * Builds programs in C that tests run.
 *
 * @module
 */

/** Builds a program of one file into a folder, which is the caller's to remove; returns its path. Undefined without a compiler. */
export function buildProgram(
  source: URL,
  folder: string,
  ...options: readonly string[]
): string | undefined {
  const name = source.pathname.split("/").at(-1)!.replace(/\.c$/, "");
  const path = `${folder}/${name}`;
  const args = ["-O1", "-Wall", "-Werror", ...options];
  args.push("-o", path, source.pathname);
  try {
    const { success, stderr } = new Deno.Command("cc", { args }).outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  return path;
}
