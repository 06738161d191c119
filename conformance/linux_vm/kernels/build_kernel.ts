// SPDX-License-Identifier: GPL-2.0-only

/**
 * Builds a kernel from its source.
 *
 * @module
 */

import { KNOWN_BUGS } from "../../../selftests/harness/known_bugs.ts";
import { hashOf, kernelSources, type Sources } from "../cache.ts";
import { isThere, removeIfThere, run } from "../programs.ts";
import { refusedOptions } from "./kernel_config.ts";
import { containerConfig, type Kernel, mended } from "./kernels.ts";
import { findSource, installedSource, type Say } from "./source.ts";

/** Where a build leaves the kernel in the tree. */
const IMAGE = "arch/x86/boot/bzImage";
/** What it is built for. */
const PC = { arch: "x86_64", goal: "bzImage" } as const;

/** The files that a build gives: where they are in the tree, by the name that they are kept under. */
export type Products = Readonly<Record<string, string>>;

/** A way to build a kernel: one tree gives several, as little is compiled twice. */
export interface Variant {
  /** More files of configuration, from `conformance/` on. */
  readonly config: readonly string[];
  /** What it gives. */
  readonly products: Products;
  /** The architecture, as make is told, and what to make for it. */
  readonly arch: "x86_64" | "um";
  readonly goal: "bzImage" | "linux";
}

/** A kernel to boot. */
export const KERNEL: Variant = {
  ...PC,
  config: [containerConfig("iommufd")],
  products: { bzImage: IMAGE },
};

/** The same with VFIO's own container. */
export const TYPE1_KERNEL: Variant = {
  ...PC,
  config: [containerConfig("type1")],
  products: { "type1-bzImage": IMAGE },
};

/** The first with symbols, and a configuration that says more. */
export const TRACING_KERNEL: Variant = {
  ...PC,
  config: [...KERNEL.config, "linux_vm/fault_steps/tracing.config"],
  products: { "tracing-bzImage": IMAGE, "tracing-vmlinux": "vmlinux" },
};

/** A kernel that is a program of this machine. */
export const UML_KERNEL: Variant = {
  arch: "um",
  goal: "linux",
  config: [],
  products: { uml: "linux" },
};

/** How a kernel is built. */
export interface BuildOptions {
  /** Where it is kept. */
  readonly folder: string;
  /** Is told what goes on. */
  readonly say: Say;
  /** In which ways. */
  readonly variants: readonly Variant[];
}

/** A variant with its sources, and the paths of what it gives. */
interface Planned extends Variant {
  readonly sources: Sources;
  readonly paths: readonly string[];
}

/** The paths of what the build of a kernel gives; it is built if they are not there. */
export async function buildKernel(
  kernel: Kernel,
  { folder, say, variants }: BuildOptions,
): Promise<string[]> {
  const installed = await installedSource(kernel);
  const planned = await Promise.all(variants.map(async (each) => {
    const sources = await kernelSources(kernel, each.config);
    const hash = await hashOf(
      JSON.stringify(sources),
      installed?.version ?? "",
    );
    const paths = Object.keys(each.products).map((name) =>
      `${folder}${name}-${kernel.revision}-${hash}`
    );
    return { ...each, sources, paths };
  }));
  const paths = planned.flatMap((each) => each.paths);
  const there = await Promise.all(paths.map(isThere));
  if (there.includes(false)) await buildAll(kernel, planned, folder, say);
  return paths;
}

async function buildAll(
  kernel: Kernel,
  planned: readonly Planned[],
  folder: string,
  say: Say,
): Promise<void> {
  const { name, version, tarball } = await findSource(kernel, folder, say);
  const tree = `${folder}tree`;
  await removeIfThere(tree);
  await Deno.mkdir(tree);
  say(`Unpacking ${name} ${version}`);
  await run("tar", ["-xf", tarball, "-C", tree, "--strip-components=1"]);
  const fixed = await mend(tree, kernel, say);
  // The kernel tells what of its bugs it is without.
  const suffix = fixed.filter((bug) => bug in KNOWN_BUGS)
    .map((bug) => `-without-${bug}`).join("");
  const jobs = `-j${navigator.hardwareConcurrency}`;
  for (const { sources, products, paths, arch, goal } of planned) {
    await configure(tree, arch, configOf(sources));
    say(
      `Compiling ${paths[0]!.slice(folder.length)}, which takes some minutes`,
    );
    await make(tree, arch, [goal, jobs, `LOCALVERSION=${suffix}`]);
    for (const [at, path] of Object.values(products).entries()) {
      await Deno.rename(`${tree}/${path}`, paths[at]!);
    }
  }
  await removeIfThere(tree);
}

/** Corrects the slips; resolves to those that were there. */
async function mend(tree: string, kernel: Kernel, say: Say): Promise<string[]> {
  const fixed = [];
  for (const each of kernel.mends) {
    const path = `${tree}/${each.file}`;
    const source = mended(await Deno.readTextFile(path), each);
    if (source === undefined) {
      say(`${each.file} has no ${each.bug}: it stays as it is`);
      continue;
    }
    say(`Mending ${each.bug} in ${each.file}`);
    await Deno.writeTextFile(path, source);
    fixed.push(each.bug);
  }
  return fixed;
}

function configOf(sources: Sources): string {
  return Object.keys(sources).filter((name) => name.endsWith(".config"))
    .map((name) => sources[name]).join("\n");
}

/** Writes the configuration. Rejects if the kernel does not take an option. */
async function configure(
  tree: string,
  arch: string,
  fragment: string,
): Promise<void> {
  const path = `${tree}/fragment.config`;
  await Deno.writeTextFile(path, fragment);
  await make(tree, arch, ["allnoconfig", `KCONFIG_ALLCONFIG=${path}`]);
  const config = await Deno.readTextFile(`${tree}/.config`);
  const refused = refusedOptions(fragment, config);
  if (refused.length > 0) {
    throw new Error(`The kernel does not take ${refused.join(", ")}`);
  }
}

/** Runs make for the kernel; what comes out depends on neither person nor day. */
async function make(
  tree: string,
  arch: string,
  args: readonly string[],
): Promise<void> {
  const env = {
    ARCH: arch,
    SUBARCH: "x86_64",
    KBUILD_BUILD_USER: "iommufd-kit",
    KBUILD_BUILD_HOST: "localhost",
    KBUILD_BUILD_TIMESTAMP: "1970-01-01",
  };
  await run("make", ["-s", "-C", tree, ...args], { env });
}
