// SPDX-License-Identifier: GPL-2.0-only

/**
 * How the command is called again.
 *
 * @module
 */

import { shellWord } from "./reproduce.ts";

const PACKAGE = new URL("../../", import.meta.url);
const CLI = new URL("../cli.ts", import.meta.url);

/** What the task allows. */
const PERMISSIONS = ["read", "write", "run", "net"].map((name) =>
  `--allow-${name}`
);

/**
 * What calls this command from the folder in which this program runs, for a
 * shell: the task where that is a clone of the package, else the module by its
 * address; by way of npx where Deno came from there and need not be installed.
 */
export function invocation(): string {
  const read = Deno.permissions.querySync({ name: "read" });
  const looks = read.state === "granted";
  const viaNpx = looks && Deno.execPath().includes("node_modules");
  const deno = viaNpx ? `npx -y deno@${Deno.version.deno}` : "deno";
  if (looks && pathOf(PACKAGE) === `${Deno.cwd()}/`) {
    return `${deno} task conformance`;
  }
  const cli = shellWord(pathOf(CLI) ?? CLI.href);
  return [deno, "run", ...PERMISSIONS, cli].join(" ");
}

/** The path of a file URL. */
function pathOf({ protocol, pathname }: URL): string | undefined {
  return protocol === "file:" ? decodeURIComponent(pathname) : undefined;
}
