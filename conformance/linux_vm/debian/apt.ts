// SPDX-License-Identifier: GPL-2.0-only

/**
 * Packages from other releases of Debian than the machine's. Nothing of the
 * system changes: apt works in a folder of its own, with the machine's archive
 * and keys, and packages are unpacked, not installed.
 *
 * @module
 */

import { isThere, run, type Tool } from "../programs.ts";
import { type Archive, findArchive } from "./apt_sources.ts";

/** What it needs. */
export const APT_TOOLS: readonly Tool[] = [
  { what: "apt-get", debianPackage: "apt" },
  { what: "dpkg-deb", debianPackage: "dpkg" },
];

/** Milliseconds between two tries to fetch something. */
const PAUSE_MS = 20_000;

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
    `apt's sources name no archive of ${codename}: nothing can be fetched`,
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

/** Hands `use` an apt that knows some releases, in a folder that is gone afterwards. */
export async function withApt<T>(
  folder: string,
  suites: readonly string[],
  use: (apt: Apt) => Promise<T>,
): Promise<T> {
  const own = await Deno.makeTempDir({ dir: folder, prefix: "apt-" });
  try {
    return await use(await Apt.setUp(own, await machineArchive(), suites));
  } finally {
    await Deno.remove(own, { recursive: true });
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
      // There is nobody else to be locked out.
      "Debug::NoLocking=true",
    ].flatMap((option) => ["-o", option]);
  }

  /** Reads what the archive has. */
  static async setUp(
    folder: string,
    archive: Archive,
    suites: readonly string[],
  ): Promise<Apt> {
    for (const each of ["state/lists/partial", "cache/archives/partial"]) {
      await Deno.mkdir(`${folder}/${each}`, { recursive: true });
    }
    await Deno.writeTextFile(`${folder}/state/status`, "");
    const { uri, signedBy } = archive;
    const stanza = [
      "Types: deb",
      `URIs: ${uri}`,
      `Suites: ${suites.join(" ")}`,
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
    return await this.#unpackAll(this.#folder);
  }

  /** The same for a package with all that it cannot run without. */
  async unpackWithDependencies(name: string): Promise<string> {
    const what = ["--no-install-recommends", "--download-only", "install"];
    await patiently(() => this.#run("apt-get", "-qq", "-y", ...what, name));
    return await this.#unpackAll(`${this.#folder}/cache/archives`);
  }

  /** Unpacks the packages in a folder; resolves to the folder with their files. */
  async #unpackAll(folder: string): Promise<string> {
    const unpacked = `${this.#folder}/unpacked`;
    for await (const { name } of Deno.readDir(folder)) {
      if (!name.endsWith(".deb")) continue;
      await run("dpkg-deb", ["-x", `${folder}/${name}`, unpacked]);
    }
    return unpacked;
  }

  #run(program: string, ...args: string[]): Promise<string> {
    const cwd = this.#folder;
    return run(program, [...this.#options, ...args], { cwd });
  }
}
