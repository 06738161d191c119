// SPDX-License-Identifier: GPL-2.0-only

/** Who may use whom, and how many files a folder has. */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";

/**
 * The folders, each of which uses only those above it and, unless they are
 * named here too, those in it. A folder's own files, such as `impl/kernel.ts`,
 * are what is named with a dot.
 */
const LAYERS = [
  "impl/uapi",
  "impl/lib",
  "impl/kernel",
  "impl/iommu",
  "impl/mock",
  "impl/pci",
  "impl/iommufd",
  "impl/vfio",
  "impl/.",
  "impl/client",
  "impl/inspect",
  "selftests/target",
  "selftests",
  "conformance/lib",
  "conformance/api_coverage",
  "conformance/reports",
  "conformance/protocol",
  "conformance/targets",
  "conformance/traces",
  "conformance/linux_vm",
  "conformance/linux_here",
  "conformance/agents",
  "conformance/running",
  "conformance/expectations",
  "conformance/ladder",
  "conformance/check_adapter",
  "conformance/known_bugs",
  "conformance/fuzz",
  "conformance/golden",
  "conformance/mutants",
  "conformance/command",
  "conformance/.",
  "host/sys",
  "host/memory",
  "host/files",
  "host/calls",
  "host/supervise",
  "host/watch",
  "host/run",
  "host/command",
  "host/.",
  "host/bench",
  "host/linux_selftests",
  "host/clients",
  "host/nvme",
  "bench",
  ".",
  "examples",
  "npm",
  ".ci",
];

/**
 * The folders of impl/iommufd, in order: what one needs to run is in those
 * before it. Types come from any of them.
 */
const IOMMUFD_LAYERS = [
  "objects",
  "pages",
  "ioas",
  "events",
  "hwpt",
  "noiommu",
  "attach",
  "access",
  "viommu",
  "vfio_compat",
  "selftest",
];

/** The most files of a folder's own; what is in testing/ does not count. */
const MAX_FILES = 15;

const ROOT = new URL("./", import.meta.url);
/** Folders without anything of ours. */
const SKIPPED = new Set([".git", ".cache", "node_modules", "coverage"]);
const SOURCE = /\.(ts|c|h|sh)$/;

/** Every source by its path. */
function sourcesIn(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap((entry) => {
    const path = folder + entry.name;
    if (entry.isDirectory) {
      return SKIPPED.has(entry.name) ? [] : sourcesIn(`${path}/`);
    }
    return SOURCE.test(path) && !path.endsWith(".d.ts") ? [path] : [];
  });
}

/** True for a test, and for what is only for tests. */
function isForTests(path: string): boolean {
  return path.endsWith("_test.ts") || path.includes("testing/");
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1) || "./";
}

/** The place in {@link LAYERS} that a file belongs to; -1 if there is none. */
function layerOf(path: string): number {
  const folder = folderOf(path);
  const own = LAYERS.indexOf(`${folder}.`.replace("./.", "."));
  if (own >= 0) return own;
  return LAYERS.findIndex((layer) => folder.startsWith(`${layer}/`));
}

/** The layers directly in a folder, without it. */
function layersIn(parent: string): string[] {
  return LAYERS
    .filter((layer) => layer.startsWith(parent) && !layer.endsWith("."))
    .map((layer) => layer.slice(parent.length));
}

/** What a source imports or exports from another file of ours; types unless they are left out. */
function importsOf(path: string, types = true): string[] {
  let text = Deno.readTextFileSync(new URL(path, ROOT));
  if (!types) {
    text = text.replaceAll(/^(import|export) type [^;]*;/gm, "");
  }
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]*\.ts)"/g)]
    .map(([, specifier]) => new URL(specifier!, new URL(path, ROOT)).href)
    .map((href) => href.slice(ROOT.href.length));
}

/** Imports of `paths` that lead to a later layer; `layerOf` tells which is which. */
function upward(
  paths: readonly string[],
  layerOf: (path: string) => number,
  types = true,
): string[] {
  return paths.flatMap((path) =>
    importsOf(path, types)
      .filter((used) => layerOf(used) > layerOf(path))
      .map((used) => `${path} uses ${used}`)
  );
}

const everything = sourcesIn("");
const sources = everything.filter((path) => !isForTests(path));

describe("The folders of this project", () => {
  it("are layers, each of which uses only those below it", () => {
    assertEquals(upward(sources, layerOf), []);
  });

  it("are layers in impl/iommufd, but for types", () => {
    const inIommufd = /^impl\/iommufd\/(?:(\w+)\/)?/;
    const layerOf = (path: string) => {
      const match = inIommufd.exec(path);
      if (match === null) return -1;
      const [, folder] = match;
      if (folder === undefined) return IOMMUFD_LAYERS.length;
      return IOMMUFD_LAYERS.indexOf(folder);
    };
    const paths = sources.filter((path) => inIommufd.test(path));
    assertEquals(paths.filter((path) => layerOf(path) < 0), []);
    assertEquals(upward(paths, layerOf, false), []);
  });

  it("are layers for tests too, as far as the folders at the top go", () => {
    const order = ["impl", "selftests", "conformance", "bench"];
    const tests = everything.filter(isForTests);
    const topOf = (path: string) => order.indexOf(path.split("/", 1)[0]!);
    assertEquals(upward(tests.filter((path) => topOf(path) >= 0), topOf), []);
  });

  it("are all in the list of layers", () => {
    assertEquals(sources.filter((path) => layerOf(path) < 0), []);
  });

  it("can be seen at once", () => {
    const counts = Map.groupBy(sources, folderOf);
    const full = [...counts].filter(([, files]) => files.length > MAX_FILES)
      .map(([folder, files]) => `${folder}: ${files.length} files`);
    assertEquals(full, []);
  });

  const parents: Record<string, readonly string[]> = {
    "impl": layersIn("impl/"),
    "impl/iommufd": IOMMUFD_LAYERS,
    "conformance": layersIn("conformance/"),
  };
  for (const [parent, folders] of Object.entries(parents)) {
    it(`stand in this order in ${parent}/README.md`, () => {
      const url = new URL(`${parent}/README.md`, ROOT);
      const rows = Deno.readTextFileSync(url).matchAll(/^\| [[`](\w+)[\]/]/gm);
      assertEquals([...rows].map(([, name]) => name), [...folders]);
    });
  }

  it("need nothing of what is only for tests", () => {
    const wrong = sources.filter((path) => importsOf(path).some(isForTests));
    assertEquals(wrong, []);
  });

  it("are read as they are", () => {
    assert(importsOf("impl/kernel.ts").includes("impl/kernel/core.ts"));
    assert(layerOf("impl/kernel.ts") > layerOf("impl/kernel/core.ts"));
    assertEquals(LAYERS[layerOf("impl/iommufd/ioas/ioas.ts")], "impl/iommufd");
    assertEquals(LAYERS[layerOf("mod.ts")], ".");
  });
});
