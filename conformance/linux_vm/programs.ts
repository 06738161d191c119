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

/** Says that a tool is missing, and where it comes from. */
function missingTool({ what, debianPackage }: Tool): string {
  return `${what} is missing: install it with "apt-get install ${debianPackage}".`;
}

async function isThere(what: string): Promise<boolean> {
  try {
    if (what.startsWith("/")) {
      await Deno.stat(what);
    } else {
      // Whether it knows the option does not matter.
      await quietly(what, ["--version"]).output();
    }
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function quietly(program: string, args: readonly string[]): Deno.Command {
  return new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
}

/** How {@link run} runs a program. */
export interface RunOptions {
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program; resolves to its standard output. Rejects with what it said last if it fails. */
export async function run(
  program: string,
  args: readonly string[],
  { env }: RunOptions = {},
): Promise<string> {
  const output = await new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    ...env && { env },
  }).output();
  const decoder = new TextDecoder();
  const [stdout, stderr] = [
    decoder.decode(output.stdout),
    decoder.decode(output.stderr),
  ];
  if (output.success) return stdout;
  const said = (stderr.trim() || stdout.trim()).split("\n").slice(-20);
  throw new Error(
    `${program} exited with code ${output.code}:\n${said.join("\n")}`,
  );
}
