// SPDX-License-Identifier: GPL-2.0-only

/**
 * Boots real Linux, as `deno task linux:build` built it, with one of Linux's
 * own selftest programs, and prints what that prints: KTAP, as a kernel's
 * developer has it. Arguments: the revision, and the program, by default
 * `iommufd`.
 *
 * @module
 */

import { chosenKernels } from "../../conformance/linux_vm/build.ts";
import { cacheFolder, findBuilt } from "../../conformance/linux_vm/cache.ts";
import {
  cpioArchive,
  type CpioEntry,
  DIRECTORY,
  PROGRAM,
} from "../../conformance/linux_vm/cpio.ts";
import { requireTools, run } from "../../conformance/linux_vm/programs.ts";
import { QEMU, qemuArgs } from "../../conformance/linux_vm/qemu.ts";
import { buildSelftests } from "./build.ts";

const INIT = new URL("init.c", import.meta.url).pathname;

/** What a program is linked with: paths of files. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await new Deno.Command("ldd", { args: [program] })
    .output();
  return new TextDecoder().decode(stdout).match(/\/\S+/g) ?? [];
}

/** The folders that a file is in, outermost first. */
function foldersOf(path: string): string[] {
  const names = path.split("/").slice(1, -1);
  return names.map((_, i) => names.slice(0, i + 1).join("/"));
}

/** The files of a machine that does nothing but run `program`. */
async function filesFor(program: string, init: string): Promise<CpioEntry[]> {
  const libraries = await librariesOf(program);
  const folders = new Set(libraries.flatMap(foldersOf));
  const file = async (path: string, from: string) => ({
    path,
    mode: PROGRAM,
    data: await Deno.readFile(from),
  });
  return [
    ...[...folders].map((path) => ({ path, mode: DIRECTORY })),
    await file("init", init),
    await file("program", program),
    ...await Promise.all(libraries.map((path) => file(path.slice(1), path))),
  ];
}

/** Runs a program on a kernel, which prints what it prints. Rejects where one of them cannot be had. */
async function runOn(revision: string, name: string): Promise<void> {
  await requireTools([QEMU]);
  const [kernel] = chosenKernels([revision]);
  const cache = cacheFolder();
  const built = await findBuilt(cache, kernel!);
  const say = (line: string) => console.error(line);
  const program = (await buildSelftests(kernel!, cache, say)).get(name);
  if (program === undefined) throw new Error(`There is no program ${name}`);
  const folder = await Deno.makeTempDir();
  try {
    const [init, initramfs] = [`${folder}/init`, `${folder}/initramfs`];
    await run("gcc", ["-O2", "-Wall", "-static", "-o", init, INIT]);
    const archive = cpioArchive(await filesFor(program, init));
    await Deno.writeFile(initramfs, archive);
    const child = new Deno.Command(QEMU.what, {
      args: qemuArgs({ ...built, initramfs }, "tcg"),
      stdin: "piped",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
    await child.status;
    await child.stdin.close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const [revision = "", name = "iommufd"] = Deno.args;
  try {
    await runOn(revision, name);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
