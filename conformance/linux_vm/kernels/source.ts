// SPDX-License-Identifier: GPL-2.0-only

/**
 * The source of a kernel: from Debian's package if that is installed, else the
 * package is fetched from newer releases than the machine has. Nothing of the
 * system changes: apt works in a folder of its own, with the machine's archive
 * and keys. What was fetched is kept.
 *
 * @module
 */

import { isThere, requireTools, run, type Tool } from "../programs.ts";
import { type Archive, findArchive } from "./apt_sources.ts";
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

/** Milliseconds between two tries to fetch something. */
const PAUSE_MS = 20_000;

/** What fetching needs. */
const TOOLS: readonly Tool[] = [
  { what: "apt-get", debianPackage: "apt" },
  { what: "dpkg-deb", debianPackage: "dpkg" },
];

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
  await requireTools(TOOLS);
  const own = await Deno.makeTempDir({ dir: folder, prefix: "apt-" });
  try {
    const apt = await Apt.setUp(own, await machineArchive());
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
  } finally {
    await Deno.remove(own, { recursive: true });
  }
}

/** The archive that this machine's packages come from. */
async function machineArchive(): Promise<Archive> {
  const paths = ["/etc/apt/sources.list"];
  for await (const { name } of Deno.readDir("/etc/apt/sources.list.d")) {
    if (/\.(list|sources)$/.test(name)) {
      paths.push(`/etc/apt/sources.list.d/${name}`);
    }
  }
  const lists = [];
  for (const name of paths) {
    if (!await isThere(name)) continue;
    lists.push({ name, text: await Deno.readTextFile(name) });
  }
  const release = await Deno.readTextFile("/etc/os-release");
  const codename = /^VERSION_CODENAME="?([\w-]+)/m.exec(release)?.[1] ?? "sid";
  const archive = findArchive(lists, codename);
  if (archive !== undefined) return archive;
  throw new Error(
    `apt's sources name no archive of ${codename}: the kernel's source cannot be fetched`,
  );
}

/** A network has hiccups: three tries, with some time between them. */
async function patiently(attempt: () => Promise<unknown>): Promise<void> {
  for (let tries = 1;; tries++) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (tries === 3) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

/** apt with a folder of its own. */
class Apt {
  readonly #folder: string;
  readonly #options: readonly string[];

  private constructor(folder: string) {
    this.#folder = folder;
    this.#options = [
      `Dir::Etc::SourceList=${folder}/own.sources`,
      "Dir::Etc::SourceParts=/dev/null",
      "Dir::Etc::Preferences=/dev/null",
      "Dir::Etc::PreferencesParts=/dev/null",
      `Dir::State=${folder}/state`,
      `Dir::State::status=${folder}/state/status`,
      `Dir::Cache=${folder}/cache`,
      "Acquire::Languages=none",
      "Acquire::Retries=5",
      // Half of the lists would look like packages that are not there.
      "APT::Update::Error-Mode=any",
      "APT::Architecture=amd64",
      "APT::Architectures=amd64",
      // Its own user may not write here.
      "APT::Sandbox::User=root",
    ].flatMap((option) => ["-o", option]);
  }

  /** Reads what the archive has. */
  static async setUp(folder: string, archive: Archive): Promise<Apt> {
    for (const each of ["state/lists/partial", "cache/archives/partial"]) {
      await Deno.mkdir(`${folder}/${each}`, { recursive: true });
    }
    await Deno.writeTextFile(`${folder}/state/status`, "");
    const { uri, signedBy } = archive;
    const stanza = [
      "Types: deb",
      `URIs: ${uri}`,
      `Suites: ${SUITES.join(" ")}`,
      "Components: main",
      ...signedBy === undefined ? [] : [`Signed-By: ${signedBy}`],
    ];
    await Deno.writeTextFile(
      `${folder}/own.sources`,
      `${stanza.join("\n")}\n`,
    );
    const apt = new Apt(folder);
    await patiently(() => apt.#run("apt-get", "-qq", "update"));
    return apt;
  }

  /** The packages whose names begin so. */
  async packages(prefix: string): Promise<string[]> {
    const names = await this.#run("apt-cache", "pkgnames", prefix);
    return names.trim().split("\n");
  }

  /** The newest version of a package. */
  async newestVersion(name: string): Promise<string> {
    const table = await this.#run("apt-cache", "madison", name);
    return table.split("|")[1]!.trim();
  }

  /** Fetches and unpacks a package; resolves to the folder with its files. */
  async unpack(name: string, version: string): Promise<string> {
    const which = `${name}=${version}`;
    await patiently(() => this.#run("apt-get", "-qq", "download", which));
    const unpacked = `${this.#folder}/unpacked`;
    for await (const { name: file } of Deno.readDir(this.#folder)) {
      if (!file.endsWith(".deb")) continue;
      await run("dpkg-deb", ["-x", `${this.#folder}/${file}`, unpacked]);
    }
    return unpacked;
  }

  #run(program: string, ...args: string[]): Promise<string> {
    const cwd = this.#folder;
    return run(program, [...this.#options, ...args], { cwd });
  }
}
