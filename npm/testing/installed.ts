// SPDX-License-Identifier: GPL-2.0-only

/**
 * The npm package, installed from its tarball in a folder of its own, and
 * programs that run it.
 *
 * @module
 */

import { output, run } from "../../conformance/linux_vm/programs.ts";
import { install } from "../tools.ts";

/** What a program came to. */
export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder in which the package is installed. */
export interface Installed extends AsyncDisposable {
  /** The folder. */
  readonly folder: string;
  /** The package in it. */
  readonly kit: string;
  /** The programs that run it, by what they are called, and those that check it. */
  readonly tools: string;
  /** Runs a program in the folder. */
  says(program: string, ...args: readonly string[]): Promise<Said>;
}

/** Packs what was built in `built`, and installs it. */
export async function installed(built: string): Promise<Installed> {
  const tools = await install(new URL("tools/", import.meta.url));
  const folder = `${await Deno.makeTempDir({ prefix: "iommufd-kit-" })}/`;
  const pack = ["pack", "--silent", "--pack-destination", folder];
  const tarball = (await run("npm", pack, { cwd: built })).trim();
  await Deno.writeTextFile(`${folder}package.json`, '{ "type": "module" }\n');
  const args = ["install", "--no-audit", "--no-fund", `./${tarball}`];
  await run("npm", args, { cwd: folder });
  return {
    folder,
    kit: `${folder}node_modules/@iommufd/kit/`,
    tools: `${tools}node_modules/`,
    async says(program, ...args) {
      const env = { NO_COLOR: "1" };
      const said = await output(program, args, { cwd: folder, env });
      const decoder = new TextDecoder();
      return {
        code: said.code,
        stdout: decoder.decode(said.stdout),
        stderr: decoder.decode(said.stderr),
      };
    },
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}
