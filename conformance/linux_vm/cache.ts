// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where a built kernel and its first file system are kept, and how it is known
 * that they are up to date: files are named by a hash of what they were made
 * from, and `current.json` says which of them belong to the sources as they are.
 *
 * @module
 */

/** What was built. */
export interface Built {
  /** The hash of the sources in this package. */
  readonly sources: string;
  /** Path of the kernel. */
  readonly kernel: string;
  /** Path of the first file system. */
  readonly initramfs: string;
}

/** Names the folder, in the package's own tree. */
const FOLDER = new URL("../../.cache/linux/", import.meta.url);
const CONFORMANCE = new URL("../", import.meta.url);

/** The folder. Throws where the package does not come from a folder at all. */
export function cacheFolder(): string {
  if (FOLDER.protocol !== "file:") {
    throw new Error("Real Linux needs a clone of this package");
  }
  return pathOf(FOLDER);
}

/** Sources by path, from `conformance/` on. */
export type Sources = Readonly<Record<string, string>>;

/** The sources of the kernel: its configuration. */
export async function kernelSources(): Promise<Sources> {
  return await readSources(["linux_vm/kernel.config"]);
}

/** The sources of the kernel that tells which steps it comes to. */
export async function tracingKernelSources(): Promise<Sources> {
  return await readSources([
    "linux_vm/kernel.config",
    "linux_vm/fault_steps/tracing.config",
  ]);
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

/** A hash of all sources as they are now. */
export async function hashOfSources(): Promise<string> {
  const sources = { ...await kernelSources(), ...await agentSources() };
  return await hashOf(JSON.stringify(sources));
}

/** Notes what is built; the files are in the folder, which may move. */
export function writeBuilt(folder: string, built: Built): Promise<void> {
  const { sources, kernel, initramfs } = built;
  const inFolder = (path: string) => path.slice(folder.length);
  return writeJson(`${folder}current.json`, {
    sources,
    kernel: inFolder(kernel),
    initramfs: inFolder(initramfs),
  });
}

/** What is built and up to date. Rejects with what to do if nothing is. */
export async function findBuilt(folder: string): Promise<Built> {
  const built = await readJson<Built>(`${folder}current.json`);
  if (built === undefined) {
    throw new Error('No kernel is built: run "deno task linux:build" first');
  }
  const { sources, kernel, initramfs } = built;
  if (sources !== await hashOfSources()) {
    throw new Error(
      'The kernel was built from other sources: run "deno task linux:build"',
    );
  }
  return { sources, kernel: folder + kernel, initramfs: folder + initramfs };
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
