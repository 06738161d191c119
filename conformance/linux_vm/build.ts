// SPDX-License-Identifier: GPL-2.0-only

/**
 * Builds what `linux-vm:` boots: a kernel with iommufd's selftest support, from
 * Debian's source package, and a first file system with the agent. Does nothing
 * where all of it is up to date.
 *
 * @module
 */

import {
  agentSources,
  type Built,
  cacheFolder,
  hashOf,
  hashOfSources,
  kernelSources,
  sourcePath,
  type Sources,
  writeBuilt,
} from "./cache.ts";
import { CHARACTER_DEVICE, cpioArchive, DIRECTORY, PROGRAM } from "./cpio.ts";
import { refusedOptions } from "./kernel_config.ts";
import { isThere, missingTools, run, type Tool } from "./programs.ts";

const PACKAGE = "linux-source-6.12";
const TARBALL = `/usr/src/${PACKAGE}.tar.xz`;

/** What the agent is built with. */
const AGENT_TOOLS: readonly Tool[] = [
  { what: "gcc", debianPackage: "gcc" },
  { what: "/usr/include/stdio.h", debianPackage: "libc6-dev" },
];

/** What the kernel is built with besides. */
const KERNEL_TOOLS: readonly Tool[] = [
  ...AGENT_TOOLS,
  { what: TARBALL, debianPackage: PACKAGE },
  { what: "tar", debianPackage: "tar" },
  { what: "xz", debianPackage: "xz-utils" },
  { what: "make", debianPackage: "make" },
  { what: "flex", debianPackage: "flex" },
  { what: "bison", debianPackage: "bison" },
  { what: "bc", debianPackage: "bc" },
  { what: "perl", debianPackage: "perl" },
  { what: "/usr/include/gelf.h", debianPackage: "libelf-dev" },
];

/** Says what is going on. */
type Say = (sentence: string) => void;

/** Builds what is not up to date. Rejects with the reason if that fails. */
async function build(folder: string, say: Say): Promise<Built> {
  await requireTools(KERNEL_TOOLS);
  await Deno.mkdir(folder, { recursive: true });
  const built: Built = {
    sources: await hashOfSources(),
    kernel: (await buildKernel(folder, say, await kernelSources()))[0]!,
    initramfs: await buildInitramfs(folder, say),
  };
  await writeBuilt(folder, built);
  await removeOthers(folder, built);
  return built;
}

async function requireTools(tools: readonly Tool[]): Promise<void> {
  const missing = await missingTools(tools);
  if (missing.length > 0) throw new Error(missing.join("\n"));
}

/** What a build of the kernel gives: where it is in the tree, by the name that it is kept under. */
const KERNEL = { bzImage: "arch/x86/boot/bzImage" };

/** The same with symbols, for {@link tracingKernelSources}. */
export const TRACING_KERNEL = {
  "tracing-bzImage": KERNEL.bzImage,
  "tracing-vmlinux": "vmlinux",
};

/** The paths of what a build of the kernel with a configuration gives; it is built if they are not there. */
export async function buildKernel(
  folder: string,
  say: Say,
  sources: Sources,
  products: Readonly<Record<string, string>> = KERNEL,
): Promise<string[]> {
  const version = await run("dpkg-query", ["-W", "-f", "${Version}", PACKAGE]);
  const hash = await hashOf(JSON.stringify(sources), version);
  const paths = Object.keys(products).map((name) => `${folder}${name}-${hash}`);
  if (await isThere(paths.at(-1)!)) return paths;

  const tree = `${folder}tree`;
  await remove(tree);
  await Deno.mkdir(tree);
  say(`Unpacking ${PACKAGE} ${version}`);
  await run("tar", ["-xf", TARBALL, "-C", tree, "--strip-components=1"]);
  await configure(tree, Object.values(sources).join("\n"));
  say("Compiling the kernel, which takes some minutes");
  await make(tree, ["bzImage", `-j${navigator.hardwareConcurrency}`]);
  for (const [at, path] of Object.values(products).entries()) {
    await Deno.rename(`${tree}/${path}`, paths[at]!);
  }
  await remove(tree);
  return paths;
}

/** Writes the configuration. Rejects if the kernel does not take an option. */
async function configure(tree: string, fragment: string): Promise<void> {
  const path = `${tree}/fragment.config`;
  await Deno.writeTextFile(path, fragment);
  await make(tree, ["allnoconfig", `KCONFIG_ALLCONFIG=${path}`]);
  const config = await Deno.readTextFile(`${tree}/.config`);
  const refused = refusedOptions(fragment, config);
  if (refused.length > 0) {
    throw new Error(`The kernel does not take ${refused.join(", ")}`);
  }
}

/** Runs make for the kernel; what comes out depends on neither person nor day. */
async function make(tree: string, args: readonly string[]): Promise<void> {
  const env = {
    ARCH: "x86_64",
    KBUILD_BUILD_USER: "iommufd-kit",
    KBUILD_BUILD_HOST: "localhost",
    KBUILD_BUILD_TIMESTAMP: "1970-01-01",
  };
  await run("make", ["-s", "-C", tree, ...args], { env });
}

/** The path of the first file system, which is built if it is not there. */
async function buildInitramfs(folder: string, say: Say): Promise<string> {
  const sources = await agentSources();
  const compiler = await run("gcc", ["--version"]);
  const hash = await hashOf(JSON.stringify(sources), compiler);
  const initramfs = `${folder}initramfs-${hash}`;
  if (await isThere(initramfs)) return initramfs;

  say("Compiling the agent");
  const agent = `${folder}linux_agent`;
  await compileAgent(agent);
  const archive = cpioArchive([
    { path: "dev", mode: DIRECTORY },
    { path: "dev/console", mode: CHARACTER_DEVICE, device: [5, 1] },
    { path: "init", mode: PROGRAM, data: await Deno.readFile(agent) },
  ]);
  await Deno.writeFile(`${initramfs}.new`, archive);
  await Deno.rename(`${initramfs}.new`, initramfs);
  return initramfs;
}

/** Compiles the agent to `path`, as a program that needs nothing else. */
export async function compileAgent(path: string): Promise<void> {
  await requireTools(AGENT_TOOLS);
  const files = Object.keys(await agentSources())
    .filter((name) => name.endsWith(".c"))
    .map(sourcePath);
  const flags = ["-static", "-O2", "-Wall", "-Wextra", "-Werror"];
  await run("gcc", [...flags, "-o", path, ...files]);
}

/** Removes what was built from older sources. */
async function removeOthers(folder: string, built: Built): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    const path = folder + name;
    if (!/^(bzImage|initramfs)-/.test(name)) continue;
    if (path !== built.kernel && path !== built.initramfs) await remove(path);
  }
}

async function remove(path: string): Promise<void> {
  if (await isThere(path)) await Deno.remove(path, { recursive: true });
}

/** The task; resolves to the exit code. */
async function main(): Promise<number> {
  try {
    if (Deno.build.arch !== "x86_64") {
      throw new Error("linux:build needs an x86-64 machine.");
    }
    const { kernel, initramfs } = await build(cacheFolder(), console.log);
    console.log(`Up to date: ${kernel}\n            ${initramfs}`);
    return 0;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(error.message);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
