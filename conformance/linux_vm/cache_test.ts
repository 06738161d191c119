// SPDX-License-Identifier: GPL-2.0-only

import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  agentSources,
  findBuilt,
  hashOf,
  hashOfSources,
  writeBuilt,
} from "./cache.ts";

describe("the cache", () => {
  it("knows the agent's sources", async () => {
    const names = Object.keys(await agentSources());
    assert(names.includes("agents/linux_agent.c"));
    assert(names.includes("agents/linux/calls.c"));
    assert(names.includes("agents/linux/agent.h"));
  });

  it("tells apart what was made from different texts", async () => {
    assertEquals(await hashOf("a", "b"), await hashOf("a", "b"));
    assertNotEquals(await hashOf("a", "b"), await hashOf("ab"));
    assertNotEquals(await hashOf("a", "b"), await hashOf("b", "a"));
  });

  it("finds what was built from the sources as they are, and nothing else", async () => {
    const folder = `${await Deno.makeTempDir()}/`;
    try {
      const nothing = await assertRejects(() => findBuilt(folder), Error);
      assert(nothing.message.includes("linux:build"));
      const built = { kernel: `${folder}k`, initramfs: `${folder}i` };
      const sources = await hashOfSources();
      await writeBuilt(folder, { ...built, sources });
      assertEquals(await findBuilt(folder), { ...built, sources });
      await writeBuilt(folder, { ...built, sources: "other" });
      const stale = await assertRejects(() => findBuilt(folder), Error);
      assert(stale.message.includes("other sources"));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
});
