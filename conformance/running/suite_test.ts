// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import * as SOURCES from "../../selftests/sources.ts";
import { VERSION } from "../lib/version.ts";
import { suiteInfo } from "./suite.ts";

/** The root of the project. */
const ROOT = new URL("../../", import.meta.url);

/** The modules that a file imports, and those that these import, by their path. */
function moduleGraph(
  file: URL,
  known: Map<string, string> = new Map(),
): Map<string, string> {
  const path = file.href.slice(ROOT.href.length);
  if (known.has(path)) return known;
  const source = Deno.readTextFileSync(file);
  known.set(path, source);
  for (const [, specifier] of source.matchAll(/ from "(\.[^"]+)";$/gm)) {
    moduleGraph(new URL(specifier!, file), known);
  }
  return known;
}

describe("suiteInfo()", () => {
  const sources = { "a.ts": "1", "b.ts": "2" };

  it("names the version and a hash of twelve digits", async () => {
    const { version, hash } = await suiteInfo();
    assertEquals(version, VERSION);
    assertMatch(hash, /^[\da-f]{12}$/);
  });

  it("has the same hash for the same sources", async () => {
    const again = { "b.ts": "2", "a.ts": "1" };
    assertEquals(await suiteInfo(again), await suiteInfo(sources));
  });

  for (
    const change of [
      { ...sources, "b.ts": "3" },
      { ...sources, "c.ts": "" },
      { "a.ts": "1" },
      { "a.ts": "2", "b.ts": "1" },
    ]
  ) {
    it(`has another hash for ${JSON.stringify(change)}`, async () => {
      const { hash } = await suiteInfo(sources);
      assertNotEquals((await suiteInfo(change)).hash, hash);
    });
  }

  it("is over every module of the suite, as it is", () => {
    const all = new URL("selftests/all.ts", ROOT);
    const graph = Object.fromEntries([...moduleGraph(all)].sort());
    assertEquals(Object.keys(SOURCES), Object.keys(graph));
    assertEquals({ ...SOURCES }, graph);
    for (
      const path of [
        "impl/uapi/errno.ts",
        "selftests/harness/harness.ts",
        "selftests/ioctls/struct_table.ts",
      ]
    ) {
      assertEquals(path in graph, true, path);
    }
  });
});
