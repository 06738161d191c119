// SPDX-License-Identifier: GPL-2.0-only

/**
 * Builds the program that behaves in many ways.
 *
 * @module
 */

/** Builds it; returns its path. Undefined without a compiler. The folder is the caller's to remove. */
export function buildBehaviour(folder: string): string | undefined {
  const source = new URL("behaviour.c", import.meta.url).pathname;
  const path = `${folder}/behaviour`;
  const args = ["-O1", "-Wall", "-Werror", "-pthread", "-o", path, source];
  try {
    const { success, stderr } = new Deno.Command("cc", { args }).outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  return path;
}
