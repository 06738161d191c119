// SPDX-License-Identifier: GPL-2.0-only

/**
 * Builds the npm package: `deno task npm`. The tools come from the npm registry
 * and run nothing when they are installed.
 *
 * @module
 */

import { run } from "../conformance/linux_vm/programs.ts";
import * as host from "../host/mod.ts";
import { ENTRIES, NEEDS_DENO, packageJson } from "./package.ts";
import { finishScript, finishTypes, needsDeno, stage } from "./rewrite.ts";
import { install } from "./tools.ts";

const ROOT = new URL("../", import.meta.url);
/** Where all is put that is built. */
const CACHE = new URL(".cache/npm/", ROOT);

/** What the package is made of: folders and files at the top. */
const PARTS = ["conformance", "host", "impl", "npm", "selftests", "mod.ts"];
/** What is not in it: tests, what builds it, and tools for work on the kit itself. */
const LEFT_OUT =
  /(^|\/)(testing|tools|mutants|bench|linux_selftests|clients)\/|_test\.ts$|^npm\/(build|package|rewrite|tools)\.ts$/;

/** The compiler's options: strict, as deno.json has them. */
function compilerOptions(typeRoots: string): object {
  return {
    rootDir: ".",
    outDir: "../package",
    target: "es2022",
    module: "esnext",
    moduleResolution: "bundler",
    moduleDetection: "force",
    lib: ["esnext", "dom", "dom.iterable", "dom.asynciterable"],
    types: ["deno", "node"],
    typeRoots: [typeRoots],
    declaration: true,
    rewriteRelativeImportExtensions: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
  };
}

/** Builds the package; resolves to the folder that has it. */
export async function build(): Promise<string> {
  const tools = await install(new URL("tools/", import.meta.url));
  const staged = new URL("source/", CACHE);
  const built = new URL("package/", CACHE);
  for (const folder of [staged, built]) {
    await Deno.remove(folder, { recursive: true }).catch(() => {});
    await Deno.mkdir(folder, { recursive: true });
  }
  for (const path of sources()) copyStaged(path, staged);
  copyStaged("types/std.d.ts", staged);
  const files = [
    ...Object.values(ENTRIES),
    "npm/bin.ts",
    "npm/runtime/deno.ts",
    "npm/runtime/disposable_stack.ts",
    "types/std.d.ts",
  ];
  const options = compilerOptions(`${tools}node_modules/@types`);
  const config = new URL("tsconfig.json", staged);
  writeJson(config, { compilerOptions: options, files });
  const tsc = `${tools}node_modules/typescript/bin/tsc`;
  await run("node", [tsc, "-p", config.pathname]);

  for (const path of filesBelow(built, "")) finish(path, built);
  write(new URL(NEEDS_DENO.slice(2), built), needsDeno(Object.keys(host)));
  for (const path of ["README.md", "LICENSE"]) {
    Deno.copyFileSync(new URL(path, ROOT), new URL(path, built));
  }
  writeJson(new URL("package.json", built), packageJson());
  return built.pathname;
}

/** The sources that the package is made of. */
function sources(): string[] {
  return PARTS.flatMap((part) =>
    part.endsWith(".ts") ? [part] : filesBelow(ROOT, `${part}/`)
  ).filter((path) => path.endsWith(".ts") && !LEFT_OUT.test(path));
}

/** The files in a folder and in those in it, by their paths from `root`. */
function filesBelow(root: URL, folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder || "./", root))].flatMap((entry) =>
    entry.isDirectory
      ? filesBelow(root, `${folder}${entry.name}/`)
      : [folder + entry.name]
  );
}

/** Copies a source to where it is compiled. */
function copyStaged(path: string, to: URL): void {
  const read = (from: string) => Deno.readTextFileSync(new URL(from, ROOT));
  write(new URL(path, to), stage(path, read(path), read));
}

/** Makes a file that was compiled what the package has. */
function finish(path: string, built: URL): void {
  const url = new URL(path, built);
  const text = Deno.readTextFileSync(url);
  const done = path.endsWith(".d.ts")
    ? finishTypes(text)
    : finishScript(path, text);
  write(url, done);
}

function write(url: URL, text: string): void {
  Deno.mkdirSync(new URL("./", url), { recursive: true });
  Deno.writeTextFileSync(url, text);
}

function writeJson(url: URL, value: unknown): void {
  write(url, `${JSON.stringify(value, null, 2)}\n`);
}

if (import.meta.main) {
  const folder = await build();
  const packed = await run("npm", [
    "pack",
    "--silent",
    "--pack-destination",
    "..",
  ], { cwd: folder });
  console.log(
    `The package is in ${folder}, and packed: .cache/npm/${packed.trim()}`,
  );
}
