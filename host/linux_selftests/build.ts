// SPDX-License-Identifier: GPL-2.0-only

/**
 * Builds Linux's own selftest programs of iommufd from the source of a kernel,
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
  NEEDED,
  PROGRAMS,
  type Repair,
  repairOf,
  SELFTESTS,
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
];

/** Paths of the programs, by name. */
export type Programs = Readonly<Record<(typeof PROGRAMS)[number], string>>;

/** The programs of a kernel, kept in `folder`; they are built if they are not there. Rejects with the reason if that fails. */
export async function buildSelftests(
  kernel: Kernel,
  folder: string,
  say: Say,
): Promise<Programs> {
  const { revision } = kernel;
  const repair = repairOf(revision);
  const installed = await installedSource(kernel);
  const sources = await hashOf(
    JSON.stringify([NEEDED, repair.flags]),
    ...repair.removals.map(({ lines }) => lines.source),
    installed?.version ?? "",
  );
  const paths = PROGRAMS.map((name) =>
    `${folder}${name}-${revision}-${sources}`
  );
  const [iommufd, iommufd_fail_nth] = paths as [string, string];
  if (!await isThere(iommufd_fail_nth)) {
    await requireTools(TOOLS);
    await Deno.mkdir(folder, { recursive: true });
    const { name, version, tarball } = await findSource(kernel, folder, say);
    say(`Compiling the selftests of ${name} ${version}`);
    const tree = await Deno.makeTempDir({ dir: folder, prefix: "selftests-" });
    try {
      await unpack(tarball, tree);
      await compile(tree, repair, say);
      for (const [at, program] of PROGRAMS.entries()) {
        await Deno.rename(`${tree}/${SELFTESTS}/${program}`, paths[at]!);
      }
    } finally {
      await Deno.remove(tree, { recursive: true });
    }
  }
  await noteBuilt(
    folder,
    Object.fromEntries(
      PROGRAMS.map((name, at) =>
        [`${name}-${revision}`, { sources, path: paths[at]! }] as const
      ),
    ),
  );
  return { iommufd, iommufd_fail_nth };
}

async function unpack(tarball: string, tree: string): Promise<void> {
  const patterns = NEEDED.map((path) => `*/${path}`);
  await run("tar", [
    ...["-xf", tarball, "-C", tree, "--strip-components=1"],
    ...["--wildcards", "--no-wildcards-match-slash", ...patterns],
  ]);
}

async function compile(
  tree: string,
  { removals, flags }: Repair,
  say: Say,
): Promise<void> {
  for (const removal of removals) {
    const path = `${tree}/${SELFTESTS}/${removal.file}`;
    say(`Taking ${removal.what} out of ${removal.file}`);
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, without(text, removal));
  }
  await run("make", ["-s", "-C", tree, "ARCH=x86_64", "headers"]);
  const told = `USERCFLAGS=${flags.join(" ")}`;
  await run("make", ["-s", "-C", `${tree}/${SELFTESTS}`, told]);
}
