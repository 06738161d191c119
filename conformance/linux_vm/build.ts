// SPDX-License-Identifier: GPL-2.0-only

/**
 * Builds what `linux-vm:` boots: kernels with iommufd's selftest support, from
 * Debian's source packages, a first file system with the agent, which is the
 * same for all, and a QEMU that has the devices. Arguments: which kernels, or
 * `qemu`, by default all; with `uml`, what `linux-uml:` starts, which is built
 * only on demand. Does nothing where all of it is up to date.
 *
 * @module
 */

import {
  agentSources,
  type Built,
  cacheFolder,
  hashOf,
  hashOfSources,
  INITRAMFS,
  kernelName,
  kernelSources,
  noteBuilt,
  sourcePath,
} from "./cache.ts";
import { CHARACTER_DEVICE, cpioArchive, DIRECTORY, PROGRAM } from "./cpio.ts";
import { DEVICES } from "./devices/devices.ts";
import { provideQemu } from "./devices/newer_qemu.ts";
import {
  buildKernel,
  KERNEL,
  TYPE1_KERNEL,
  UML_KERNEL,
  type Variant,
} from "./kernels/build_kernel.ts";
import {
  CONTAINERS,
  type Flavour,
  flavourConfig,
  type Kernel,
  kernelOf,
  KERNELS,
  UML_KERNELS,
} from "./kernels/kernels.ts";
import type { Say } from "./kernels/source.ts";
import { isThere, requireTools, run, type Tool } from "./programs.ts";

/** What the agent is built with. */
const AGENT_TOOLS: readonly Tool[] = [
  { what: "gcc", debianPackage: "gcc" },
  { what: "/usr/include/stdio.h", debianPackage: "libc6-dev" },
];

/** What a kernel is built with besides. */
const KERNEL_TOOLS: readonly Tool[] = [
  ...AGENT_TOOLS,
  { what: "tar", debianPackage: "tar" },
  { what: "xz", debianPackage: "xz-utils" },
  { what: "make", debianPackage: "make" },
  { what: "flex", debianPackage: "flex" },
  { what: "bison", debianPackage: "bison" },
  { what: "bc", debianPackage: "bc" },
  { what: "perl", debianPackage: "perl" },
  { what: "/usr/include/gelf.h", debianPackage: "libelf-dev" },
];

/** How a kernel is built in each flavour. */
const VARIANTS: Readonly<Record<Flavour, Variant>> = {
  iommufd: KERNEL,
  type1: TYPE1_KERNEL,
  uml: UML_KERNEL,
};

/** A kernel, and what of it is built. */
interface Order {
  readonly kernel: Kernel;
  readonly flavours: readonly Flavour[];
}

/** Builds what is not up to date; resolves to the paths. Rejects with the reason if that fails. */
async function build(
  { kernel, flavours }: Order,
  folder: string,
  say: Say,
): Promise<string[]> {
  await requireTools(KERNEL_TOOLS);
  await Deno.mkdir(folder, { recursive: true });
  const variants = flavours.map((flavour) => VARIANTS[flavour]);
  const images = await buildKernel(kernel, { folder, say, variants });
  const initramfs = await buildInitramfs(folder, say);
  const sources = await hashOfSources(await agentSources());
  const built: Record<string, Built> = {
    [INITRAMFS]: { sources, path: initramfs },
  };
  for (const [at, flavour] of flavours.entries()) {
    const config = flavourConfig(flavour);
    const sources = await hashOfSources(await kernelSources(kernel, config));
    built[kernelName(kernel, flavour)] = { sources, path: images[at]! };
  }
  await noteBuilt(folder, built);
  return [...images, initramfs];
}

/** The path of the first file system, which is built if it is not there. */
async function buildInitramfs(folder: string, say: Say): Promise<string> {
  const sources = await agentSources();
  const compiler = await run("gcc", ["--version"]);
  const hash = await hashOf(JSON.stringify(sources), compiler);
  const initramfs = `${folder}${INITRAMFS}-${hash}`;
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

/** The kernels that arguments name. Throws where there is no such kernel. */
export function chosenKernels(names: readonly string[]): readonly Kernel[] {
  if (names.length === 0) return KERNELS;
  return names.map((name) => chosenKernel(name, KERNELS));
}

/** One of the kernels. Throws where it is none of them. */
function chosenKernel(name: string, kernels: readonly Kernel[]): Kernel {
  const kernel = kernelOf(name, kernels);
  if (kernel !== undefined) return kernel;
  const all = KERNELS.map(({ revision }) => revision).join(" or ");
  throw new Error(`There is no kernel "${name}": it must be ${all}.`);
}

/** The arguments that stand for kernels of `linux-uml:`: all of them, or one as in `uml-6.12`. */
const UML_ARGUMENT = /^uml(?:-(.*))?$/;

/** What arguments name, in the order to build it. */
function ordersOf(names: readonly string[]): readonly Order[] {
  const isUml = (name: string) => UML_ARGUMENT.test(name);
  const [umls, others] = [
    names.filter(isUml),
    names.filter((it) => !isUml(it)),
  ];
  const programs = umls.flatMap((name) => {
    const [, revision] = UML_ARGUMENT.exec(name)!;
    return revision === undefined
      ? UML_KERNELS
      : [chosenKernel(revision, UML_KERNELS)];
  });
  const kernels = others.length === 0 && umls.length > 0
    ? []
    : chosenKernels(others);
  return [
    ...kernels.map((kernel) => ({ kernel, flavours: CONTAINERS })),
    ...programs.map((kernel) => ({ kernel, flavours: ["uml"] as const })),
  ];
}

/** The argument that stands for a QEMU which has the devices. */
const QEMU_ARGUMENT = "qemu";

/** The task; resolves to the exit code. A kernel that cannot be built does not keep others from it. */
async function main(args: readonly string[]): Promise<number> {
  let code = 0;
  async function attempt(body: () => Promise<void>): Promise<void> {
    try {
      await body();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      console.error(error.message);
      code = 1;
    }
  }
  await attempt(async () => {
    if (Deno.build.arch !== "x86_64") {
      throw new Error("linux:build needs an x86-64 machine.");
    }
    const folder = cacheFolder();
    const names = args.filter((each) => each !== QEMU_ARGUMENT);
    if (args.length === 0 || args.includes(QEMU_ARGUMENT)) {
      await attempt(async () => {
        await Deno.mkdir(folder, { recursive: true });
        const devices = Object.values(DEVICES);
        const program = await provideQemu(folder, devices, console.log);
        console.log(`QEMU has the devices:\n  ${program}`);
      });
    }
    const orders = names.length < args.length && names.length === 0
      ? []
      : ordersOf(names);
    for (const order of orders) {
      await attempt(async () => {
        const paths = await build(order, folder, console.log);
        console.log(`Linux ${order.kernel.revision} is up to date:`);
        for (const path of paths) console.log(`  ${path}`);
      });
    }
  });
  return code;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
