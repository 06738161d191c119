// SPDX-License-Identifier: GPL-2.0-only

/**
 * The source of a kernel: from Debian's package if that is installed, else the
 * package is fetched from newer releases than the machine has. What was fetched is
 * kept.
 *
 * @module
 */

import { APT_TOOLS, withApt } from "../debian/apt.ts";
import { isThere, requireTools, run } from "../programs.ts";
import type { Kernel } from "./kernels.ts";

/** The source of a kernel. */
export interface Source {
  /** Debian's package. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
  /** Path of the archive of files in it. */
  readonly tarball: string;
}

/** Says what is going on. */
export type Say = (sentence: string) => void;

/** Releases of Debian that may have what the machine's own has not. */
const SUITES = ["trixie", "trixie-backports", "sid"];

/** The source. Rejects with what is missing if it cannot be had. */
export async function findSource(
  kernel: Kernel,
  folder: string,
  say: Say,
): Promise<Source> {
  return await installedSource(kernel) ?? await keptSource(kernel, folder) ??
    await fetchSource(kernel, folder, say);
}

/** The newest of some packages that the kernel can be built from. */
function newest<T extends { readonly name: string }>(
  { packages, least }: Kernel,
  all: readonly T[],
): T | undefined {
  const number = ({ name }: T) => Number(packages.exec(name)?.[1] ?? -1);
  return all.filter((each) => number(each) >= least)
    .sort((a, b) => number(b) - number(a))[0];
}

/** What the machine has. */
export async function installedSource(
  kernel: Kernel,
): Promise<Source | undefined> {
  const there: Source[] = [];
  for (const line of await installedPackages()) {
    const [name = "", version = "", status] = line.split(" ");
    const tarball = `/usr/src/${name}.tar.xz`;
    if (status !== "installed") continue;
    if (await isThere(tarball)) there.push({ name, version, tarball });
  }
  return newest(kernel, there);
}

async function installedPackages(): Promise<string[]> {
  const format = "${Package} ${Version} ${db:Status-Status}\n";
  try {
    const all = await run("dpkg-query", ["-W", "-f", format, "linux-source-*"]);
    return all.trim().split("\n");
  } catch {
    // No such package, or not a Debian at all.
    return [];
  }
}

/** What was fetched before: `NAME_VERSION.tar.xz`. */
async function keptSource(
  kernel: Kernel,
  folder: string,
): Promise<Source | undefined> {
  const kept: Source[] = [];
  for await (const { name: file } of Deno.readDir(folder)) {
    const match = /^([^_]+)_(.+)\.tar\.xz$/.exec(file);
    if (match === null) continue;
    const [, name = "", version = ""] = match;
    kept.push({ name, version, tarball: folder + file });
  }
  return newest(kernel, kept);
}

async function fetchSource(
  kernel: Kernel,
  folder: string,
  say: Say,
): Promise<Source> {
  const suites = SUITES.join(", ");
  say(`Looking for the source of Linux ${kernel.revision} in ${suites}`);
  await requireTools(APT_TOOLS);
  return await withApt(folder, SUITES, async (apt) => {
    const names = await apt.packages("linux-source-");
    const found = newest(kernel, names.map((name) => ({ name })));
    if (found === undefined) {
      throw new Error(
        `Linux ${kernel.revision} cannot be built: its source is not installed (linux-source-${kernel.revision} or a later one of the kind), and ${suites} do not have it`,
      );
    }
    const { name } = found;
    const version = await apt.newestVersion(name);
    say(`Fetching ${name} ${version}`);
    const unpacked = await apt.unpack(name, version);
    const tarball = `${folder}${name}_${version}.tar.xz`;
    await Deno.rename(`${unpacked}/usr/src/${name}.tar.xz`, tarball);
    return { name, version, tarball };
  });
}
