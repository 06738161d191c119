// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where a built kernel and its first file system are kept, and how it is known
 * that they are up to date: files are named by a hash of what they were made
 * from, and `built.json` says which of them belong to the sources as they are.
 *
 * @module
 */

import { type Flavour, flavourConfig, type Kernel } from "./kernels/kernels.ts";

/** A file that was built. */
export interface Built {
  /** The hash of the sources in this package. */
  readonly sources: string;
  /** Path of the file. */
  readonly path: string;
}

/** What is booted. */
export interface Bootable {
  /** Path of the kernel. */
  readonly kernel: string;
  /** Path of the first file system. */
  readonly initramfs: string;
}

/** What the first file system is known by. */
export const INITRAMFS = "initramfs";

/** What a kernel is known by. */
export function kernelName(
  { revision }: Kernel,
  flavour: Flavour,
): string {
  return flavour === "iommufd" ? revision : `${revision}-${flavour}`;
}

/** Names the folder, in the package's own tree. */
const FOLDER = new URL("../../.cache/linux/", import.meta.url);
const CONFORMANCE = new URL("../", import.meta.url);
/** What the folder has that is up to date. */
const NOTE = "built.json";

/** The folder. Throws where the package does not come from a folder at all. */
export function cacheFolder(): string {
  if (FOLDER.protocol !== "file:") {
    throw new Error("Real Linux needs a clone of this package");
  }
  return pathOf(FOLDER);
}

/** Sources by path, from `conformance/` on. */
export type Sources = Readonly<Record<string, string>>;

/** The sources of a kernel: its configuration, `.config` by name, and what is mended of it. */
export async function kernelSources(
  { config, mends }: Kernel,
  more: readonly string[] = [],
): Promise<Sources> {
  const files = config.map((name) => `linux_vm/kernels/${name}`);
  const sources = await readSources([...files, ...more]);
  const edits = mends.map(({ wrong, replacement }) => `${wrong}${replacement}`);
  return { ...sources, mends: edits.join("\n") };
}

/** The sources of the first file system: the agent. */
export async function agentSources(): Promise<Sources> {
  const paths = ["agents/linux_agent.c"];
  for await (
    const { name } of Deno.readDir(new URL("agents/linux/", CONFORMANCE))
  ) {
    if (/\.[ch]$/.test(name)) paths.push(`agents/linux/${name}`);
  }
  return await readSources(paths.sort());
}

/** The path of a source. */
export function sourcePath(path: string): string {
  return pathOf(new URL(path, CONFORMANCE));
}

/** The path of a file URL. */
function pathOf(url: URL): string {
  return decodeURIComponent(url.pathname);
}

async function readSources(paths: readonly string[]): Promise<Sources> {
  const entries = paths.map(async (path) =>
    [path, await Deno.readTextFile(sourcePath(path))] as const
  );
  return Object.fromEntries(await Promise.all(entries));
}

/** A short hash of texts. */
export async function hashOf(...parts: readonly string[]): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(parts));
  const hash = await crypto.subtle.digest("SHA-256", bytes);
  return new Uint8Array(hash, 0, 8).toHex();
}

/** A hash of sources. */
export async function hashOfSources(sources: Sources): Promise<string> {
  return await hashOf(JSON.stringify(sources));
}

/** What was built, by what it is known by. */
type BuiltFiles = Readonly<Record<string, Built>>;

/** Notes what is built, with what was noted before; the files are in the folder, which may move. Others of the same kind are removed. */
export async function noteBuilt(
  folder: string,
  built: BuiltFiles,
): Promise<void> {
  const inFolder = Object.entries(built).map(([name, { sources, path }]) =>
    [name, { sources, path: path.slice(folder.length) }] as const
  );
  const all = { ...await readBuilt(folder), ...Object.fromEntries(inFolder) };
  await writeJson(folder + NOTE, all);
  const current = Object.values(all).map(({ path }) => path);
  const kinds = new Set(current.map(kindOf));
  for await (const { name } of Deno.readDir(folder)) {
    if (!kinds.has(kindOf(name)) || current.includes(name)) continue;
    await Deno.remove(folder + name);
  }
}

/** What a file is, without the hash that its name ends with. */
function kindOf(name: string): string {
  return name.slice(0, name.lastIndexOf("-") + 1);
}

async function readBuilt(folder: string): Promise<BuiltFiles> {
  return await readJson<BuiltFiles>(folder + NOTE) ?? {};
}

/** What is built of a kernel and up to date. Rejects with what to do if nothing is. */
export async function findBuilt(
  folder: string,
  kernel: Kernel,
  flavour: Flavour = "iommufd",
): Promise<Bootable> {
  const built = await readBuilt(folder);
  const { revision } = kernel;
  const config = flavourConfig(flavour);
  const argument = flavour === "uml" ? `uml-${revision}` : revision;
  const task = `run "deno task linux:build ${argument}"`;
  function upToDate(name: string, sources: string): string {
    const found = built[name];
    if (found === undefined) {
      throw new Error(`Linux ${revision} is not built: ${task} first`);
    }
    if (found.sources === sources) return folder + found.path;
    throw new Error(`Linux ${revision} was built from other sources: ${task}`);
  }
  return {
    kernel: upToDate(
      kernelName(kernel, flavour),
      await hashOfSources(await kernelSources(kernel, config)),
    ),
    initramfs: upToDate(
      INITRAMFS,
      await hashOfSources(await agentSources()),
    ),
  };
}

/** What a JSON file of the folder holds; undefined if it is not there or is broken. */
export async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(path)) as T;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Writes a JSON file; it is there as a whole or not at all. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await Deno.writeTextFile(`${path}.new`, `${JSON.stringify(value)}\n`);
  await Deno.rename(`${path}.new`, path);
}
