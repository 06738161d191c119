// SPDX-License-Identifier: GPL-2.0-only

import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  agentSources,
  findBuilt,
  hashOf,
  hashOfSources,
  kernelSources,
  noteBuilt,
} from "./cache.ts";
import { containerConfig, NEWEST } from "./kernels/kernels.ts";

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
      const nothing = await assertRejects(
        () => findBuilt(folder, NEWEST),
        Error,
        "is not built",
      );
      assertStringIncludes(nothing.message, `linux:build ${NEWEST.revision}`);
      const config = [containerConfig("iommufd")];
      const sources = await hashOfSources(await kernelSources(NEWEST, config));
      const ofAgent = await hashOfSources(await agentSources());
      const initramfs = { sources: ofAgent, path: `${folder}initramfs-1` };
      const kernel = { sources, path: `${folder}bzImage-1` };
      await noteBuilt(folder, { [NEWEST.revision]: kernel, initramfs });
      assertEquals(await findBuilt(folder, NEWEST), {
        kernel: kernel.path,
        initramfs: initramfs.path,
      });
      const old = { sources: "other", path: `${folder}initramfs-0` };
      await noteBuilt(folder, { initramfs: old });
      await assertRejects(
        () => findBuilt(folder, NEWEST),
        Error,
        "other sources",
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });

  it("keeps one of each, and nothing of what was before", async () => {
    const folder = `${await Deno.makeTempDir()}/`;
    try {
      const files = ["bzImage-1-a", "bzImage-1-old", "bzImage-2-b"];
      const others = ["initramfs-c", "initramfs-old", "linux_agent"];
      for (const name of [...files, ...others]) {
        await Deno.writeTextFile(folder + name, "");
      }
      const built = (name: string) => ({ sources: "", path: folder + name });
      await noteBuilt(folder, {
        "1": built("bzImage-1-a"),
        initramfs: built("initramfs-old"),
      });
      await Deno.writeTextFile(`${folder}initramfs-c`, "");
      await noteBuilt(folder, {
        "2": built("bzImage-2-b"),
        initramfs: built("initramfs-c"),
      });
      const names = await Array.fromAsync(
        Deno.readDir(folder),
        ({ name }) => name,
      );
      assertEquals(names.sort(), [
        "built.json",
        "bzImage-1-a",
        "bzImage-2-b",
        "initramfs-c",
        "linux_agent",
      ]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
});
