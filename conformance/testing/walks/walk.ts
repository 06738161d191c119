// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a walk of a user needs: a folder of one's own beside a clone, set up as
 * README says, and commands that are run as real processes.
 *
 * @module
 */

import { assertEquals } from "@std/assert";

/** This clone. */
export const CLONE: string = new URL("../../../", import.meta.url).pathname;

/** What a command came to. */
export interface Done {
  readonly code: number;
  /** Standard output and standard error, without colors. */
  readonly out: string;
}

/** Runs a command in a folder, with nothing on its standard input. */
export async function run(
  folder: string,
  program: string,
  ...args: readonly string[]
): Promise<Done> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd: folder,
    stdin: "null",
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", DENO_NO_PROMPT: "1" },
  }).output();
  const [out, errors] = [stdout, stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  );
  return { code, out: out! + errors! };
}

/** Runs Deno in a folder, and expects it to succeed. Returns what it printed. */
export async function deno(
  folder: string,
  ...args: readonly string[]
): Promise<string> {
  const { code, out } = await run(folder, Deno.execPath(), ...args);
  assertEquals(code, 0, `deno ${args.join(" ")}: ${out}`);
  return out;
}

/** A folder of one's own that is gone at the end of its scope. */
export class OwnFolder implements AsyncDisposable {
  /** Its path. */
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** An empty one whose import map leads to this clone, with tests' assertions. */
  static async make(): Promise<OwnFolder> {
    const folder = new OwnFolder(await Deno.makeTempDir());
    const { exports, imports } = JSON.parse(
      await Deno.readTextFile(`${CLONE}deno.json`),
    ) as Record<"exports" | "imports", Record<string, string>>;
    const kit = Object.entries(exports).map(([name, file]) => [
      `@iommufd/kit${name.slice(1)}`,
      new URL(file, `file://${CLONE}`).href,
    ]);
    const own = { imports: { ...imports, ...Object.fromEntries(kit) } };
    await folder.write("deno.json", JSON.stringify(own, null, 2));
    return folder;
  }

  /** Writes a file of the user's. */
  async write(name: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${this.path}/${name}`, text);
  }

  /** Takes a file of the clone to begin with. */
  async copy(file: string): Promise<void> {
    const name = file.slice(file.lastIndexOf("/") + 1);
    await Deno.copyFile(`${CLONE}${file}`, `${this.path}/${name}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
