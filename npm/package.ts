// SPDX-License-Identifier: GPL-2.0-only

/**
 * The package.json of the npm package, made from deno.json.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };

/** The oldest Node that runs the package. */
export const OLDEST_NODE = "18.0.0";

/** What needs Deno: it calls the functions of C libraries. */
const DENO_ONLY = "./host";
/** What is found there elsewhere. */
export const NEEDS_DENO = "./npm/needs_deno.js";

/** The sources of the entry points, by what they are imported as: those of deno.json, but for the runner's. */
export const ENTRIES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({ ...config.exports, "./cli": "./npm/cli.ts" })
    .map(([name, path]) => [name, path.slice(2)]),
);

/** The contents of package.json. */
export function packageJson(): Record<string, unknown> {
  return {
    name: config.name,
    version: config.version,
    description:
      "A model of Linux's iommufd, its selftests ported onto system calls, and a runner",
    keywords: ["iommufd", "iommu", "vfio", "linux", "conformance", "model"],
    license: config.license,
    type: "module",
    sideEffects: ["./npm/*.js", "./npm/runtime/*.js"],
    engines: { node: `>=${OLDEST_NODE}` },
    bin: { "iommufd-kit": "./npm/bin.js" },
    exports: {
      ...Object.fromEntries(
        Object.entries(ENTRIES).map((
          [name, path],
        ) => [name, exportOf(name, path)]),
      ),
      "./package.json": "./package.json",
    },
    dependencies: { "deno-std": versionOf("deno-std") },
  };
}

/** What `import` finds by a name. */
function exportOf(name: string, source: string): Record<string, string> {
  const script = `./${source.replace(/\.ts$/, ".js")}`;
  const types = `./${source.replace(/\.ts$/, ".d.ts")}`;
  return name === DENO_ONLY
    ? { types, deno: script, default: NEEDS_DENO }
    : { types, default: script };
}

/** The version of an npm package that deno.json names. */
function versionOf(name: string): string {
  const specifier = Object.values(config.imports)
    .find((value) => value.startsWith(`npm:${name}@`))!;
  return specifier.split("@")[1]!.split("/")[0]!;
}

/** What a name that deno.json maps is called in npm: `deno-std/assert/mod.js` for `@std/assert`. */
export function npmName(name: string): string | undefined {
  const mapped = (config.imports as Record<string, string>)[name];
  return mapped?.replace(/^npm:([^@]+)@[^/]+/, "$1");
}
