// SPDX-License-Identifier: GPL-2.0-only

/**
 * Packages of the npm registry that build and test ours.
 *
 * @module
 */

import { run } from "../conformance/linux_vm/programs.ts";

const CACHE = new URL("../.cache/npm/", import.meta.url);

/**
 * Installs what the lock file in `folder` names, unless that was done before;
 * resolves to the path of the folder that has `node_modules`. No package runs
 * anything.
 */
export async function install(folder: URL): Promise<string> {
  const lock = Deno.readTextFileSync(new URL("package-lock.json", folder));
  const name = folder.pathname.split("/").slice(-3, -1).join("-");
  const to = new URL(`${name}/`, CACHE);
  const done = new URL("installed", to);
  if (textOf(done) === lock) return to.pathname;
  await Deno.mkdir(to, { recursive: true });
  for (const file of ["package.json", "package-lock.json"]) {
    await Deno.copyFile(new URL(file, folder), new URL(file, to));
  }
  await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: to.pathname,
  });
  await Deno.writeTextFile(done, lock);
  return to.pathname;
}

/** The text of a file; undefined if there is none. */
function textOf(url: URL): string | undefined {
  try {
    return Deno.readTextFileSync(url);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
