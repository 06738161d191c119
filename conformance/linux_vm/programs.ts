// SPDX-License-Identifier: GPL-2.0-only

/**
 * Running other programs, and finding out which are missing.
 *
 * @module
 */

/** Something that must be installed, and the Debian package that has it. */
export interface Tool {
  /** A program by name, or a file by its absolute path. */
  readonly what: string;
  /** The Debian package that it comes with. */
  readonly debianPackage: string;
}

/** A sentence for each tool that is missing. */
export async function missingTools(tools: readonly Tool[]): Promise<string[]> {
  const there = await Promise.all(tools.map(({ what }) => isThere(what)));
  return tools.filter((_, index) => !there[index]).map(missingTool);
}

/** Rejects with what is missing, if anything is. */
export async function requireTools(tools: readonly Tool[]): Promise<void> {
  const missing = await missingTools(tools);
  if (missing.length > 0) throw new Error(missing.join("\n"));
}

/** Says that a tool is missing, and where it comes from. */
function missingTool({ what, debianPackage }: Tool): string {
  return `${what} is missing: install it with "apt-get install ${debianPackage}".`;
}

/** True if there is a program of a name, or a file at an absolute path. */
export async function isThere(what: string): Promise<boolean> {
  try {
    if (what.startsWith("/")) {
      await Deno.stat(what);
    } else {
      // Whether it knows the option does not matter.
      await output(what, ["--version"]);
    }
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Removes a file or a folder with all that is in it. */
export async function removeIfThere(path: string): Promise<void> {
  if (await isThere(path)) await Deno.remove(path, { recursive: true });
}

/** What is added to the environment of a program, and where it runs. */
type RunOptions = Pick<Deno.CommandOptions, "env" | "cwd">;

/** Runs a program that has nothing to read. */
export function output(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Deno.CommandOutput> {
  return new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    ...options,
  }).output();
}

/** Runs a program; resolves to its standard output. Rejects with what it said last if it fails. */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { code, success, ...said } = await output(program, args, options);
  const decoder = new TextDecoder();
  const stdout = decoder.decode(said.stdout);
  if (success) return stdout;
  const text = decoder.decode(said.stderr).trim() || stdout.trim();
  const last = text.split("\n").slice(-20).join("\n");
  throw new Error(`${program} exited with code ${code}:\n${last}`);
}
