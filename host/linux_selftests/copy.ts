// SPDX-License-Identifier: GPL-2.0-only

/**
 * A copy of this package and of Deno in a folder that every user may read: the
 * originals are often in the home of one.
 *
 * @module
 */

import { run } from "../../conformance/linux_vm/programs.ts";

const ROOT = decodeURIComponent(new URL("../../", import.meta.url).pathname);
/** What `run` needs of the package. */
const PARTS = [
  "deno.json",
  "conformance",
  "host",
  "impl",
  "selftests",
  "types",
];

/** A command that every user can run, with what it needs in its environment. */
export interface CopiedCommand extends Disposable {
  /** The folder of the copy. */
  readonly folder: string;
  /** The program. */
  readonly deno: string;
  /** Where it finds packages, and keeps its own. */
  readonly env: Record<string, string>;
}

/** Copies; removed when it is disposed of. */
export async function copyForEverybody(): Promise<CopiedCommand> {
  const folder = await Deno.makeTempDir({ prefix: "iommufd-kit-" });
  const packages = `${folder}/packages`;
  await Deno.mkdir(packages);
  const info = await run(Deno.execPath(), ["info", "--json"]);
  const { npmCache } = JSON.parse(info) as { npmCache: string };
  const parts = PARTS.map((name) => ROOT + name);
  await run("cp", ["-rL", ...parts, folder]);
  await run("cp", ["-r", npmCache, `${packages}/npm`]);
  await run("cp", ["-L", Deno.execPath(), `${folder}/deno`]);
  await run("chmod", ["-R", "a+rX", folder]);
  await run("chmod", ["-R", "a+w", packages]);
  return {
    folder,
    deno: `${folder}/deno`,
    env: { DENO_DIR: packages },
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}
