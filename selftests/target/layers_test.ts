// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";

/** The folders, each of which uses itself and those before it. */
const LAYERS = ["impl", "selftests", "conformance", "bench"];

const ROOT = new URL("../../", import.meta.url);

/** The modules below a folder. */
function* modulesOf(folder: URL): Iterable<URL> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* modulesOf(new URL(`${name}/`, folder));
    else if (name.endsWith(".ts")) yield new URL(name, folder);
  }
}

/** The folder of the project that a module lies in. */
function layerOf(module: URL): string {
  return module.pathname.slice(ROOT.pathname.length).split("/", 1)[0]!;
}

/** The imports of a text that reach beyond what its folder may use. */
function beyond(module: URL, text: string): string[] {
  const allowed = LAYERS.slice(0, LAYERS.indexOf(layerOf(module)) + 1);
  return [...text.matchAll(/ from "(\.[^"]+)"/g)]
    .map(([, specifier]) => new URL(specifier!, module))
    .filter((imported) => LAYERS.includes(layerOf(imported)))
    .filter((imported) => !allowed.includes(layerOf(imported)))
    .map((imported) => `${module.pathname} uses ${imported.pathname}`);
}

describe("the folders", () => {
  it("use only those below them, their tests too", () => {
    const found = LAYERS.flatMap((layer) => {
      const modules = modulesOf(new URL(`${layer}/`, ROOT));
      return [...modules].flatMap((module) =>
        beyond(module, Deno.readTextFileSync(module))
      );
    });
    assertEquals(found, []);
  });

  it("are seen to use another where they do", () => {
    const module = new URL("selftests/target/x.ts", ROOT);
    for (
      const [imported, count] of [
        ["../../conformance/a.ts", 1],
        ["../all.ts", 0],
        ["../../impl/a.ts", 0],
      ] as const
    ) {
      const text = `import { a } from "${imported}";`;
      assertEquals(beyond(module, text).length, count, imported);
    }
  });
});
