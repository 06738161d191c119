// SPDX-License-Identifier: GPL-2.0-only

/**
 * Builds Linux's own selftest programs of iommufd and VFIO from the source of a kernel,
 * as `make headers` and the selftests' own Makefile do it.
 *
 * @module
 */

import { hashOf, noteBuilt } from "../../conformance/linux_vm/cache.ts";
import type { Kernel } from "../../conformance/linux_vm/kernels/kernels.ts";
import {
  findSource,
  installedSource,
  type Say,
} from "../../conformance/linux_vm/kernels/source.ts";
import {
  isThere,
  requireTools,
  run,
  type Tool,
} from "../../conformance/linux_vm/programs.ts";
import {
  IOMMU,
  neededBy,
  type Repair,
  repairOf,
  type Suite,
  suitesOf,
  without,
} from "./sources.ts";

/** What they are built with. */
const TOOLS: readonly Tool[] = [
  { what: "gcc", debianPackage: "gcc" },
  { what: "make", debianPackage: "make" },
  { what: "tar", debianPackage: "tar" },
  { what: "xz", debianPackage: "xz-utils" },
  { what: "/usr/include/stdio.h", debianPackage: "libc6-dev" },
  { what: "/usr/include/sys/capability.h", debianPackage: "libcap-dev" },
  { what: "/usr/include/uuid/uuid.h", debianPackage: "uuid-dev" },
];

/** Paths of the programs, by name. */
export type Programs = ReadonlyMap<string, string>;

/** The programs of a kernel, kept in `folder`; they are built if they are not there. Rejects with the reason if that fails. */
export async function buildSelftests(
  kernel: Kernel,
  folder: string,
  say: Say,
): Promise<Programs> {
  const { revision } = kernel;
  const suites = suitesOf(revision);
  const repair = repairOf(revision);
  const installed = await installedSource(kernel);
  const sources = await hashOf(
    JSON.stringify([suites, neededBy([]), repair.flags]),
    ...repair.removals.map(({ lines }) => lines.source),
    installed?.version ?? "",
  );
  const programs = new Map<string, string>();
  for (const name of suites.flatMap(({ programs }) => programs)) {
    programs.set(name, `${folder}${name}-${revision}-${sources}`);
  }
  if (!await isThere([...programs.values()].at(-1)!)) {
    await requireTools(TOOLS);
    await Deno.mkdir(folder, { recursive: true });
    const { name, version, tarball } = await findSource(kernel, folder, say);
    say(`Compiling the selftests of ${name} ${version}`);
    const tree = await Deno.makeTempDir({ dir: folder, prefix: "selftests-" });
    try {
      await unpack(tarball, tree, suites);
      await compile(tree, suites, repair, say);
      for (const { folder, programs: names } of suites) {
        for (const each of names) {
          await Deno.rename(`${tree}/${folder}/${each}`, programs.get(each)!);
        }
      }
    } finally {
      await Deno.remove(tree, { recursive: true });
    }
  }
  await noteBuilt(
    folder,
    Object.fromEntries(
      [...programs].map(([name, path]) =>
        [`${name}-${revision}`, { sources, path }] as const
      ),
    ),
  );
  return programs;
}

async function unpack(
  tarball: string,
  tree: string,
  suites: readonly Suite[],
): Promise<void> {
  const patterns = neededBy(suites).map((path) => `*/${path}`);
  await run("tar", [
    ...["-xf", tarball, "-C", tree, "--strip-components=1"],
    ...["--wildcards", "--no-wildcards-match-slash", ...patterns],
  ]);
}

async function compile(
  tree: string,
  suites: readonly Suite[],
  { removals, flags }: Repair,
  say: Say,
): Promise<void> {
  for (const removal of removals) {
    const path = `${tree}/${IOMMU.folder}/${removal.file}`;
    say(`Taking ${removal.what} out of ${removal.file}`);
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, without(text, removal));
  }
  await run("make", ["-s", "-C", tree, "ARCH=x86_64", "headers"]);
  const told = `USERCFLAGS=${flags.join(" ")}`;
  for (const { folder } of suites) {
    await run("make", ["-s", "-C", `${tree}/${folder}`, told]);
  }
}
