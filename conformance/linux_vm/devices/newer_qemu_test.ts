// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { isThere } from "../programs.ts";
import { DEVICES } from "./devices.ts";
import { findQemu, hasModel, provideQemu } from "./newer_qemu.ts";

/** A stand-in for QEMU: a shell script. */
async function fakeQemu(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}

/** A device that no QEMU of the machine has. */
const DEVICE = { ...DEVICES.igb!, model: "made-up-card" };
const HAS_IT = `echo "made-up-card options:"`;

/** Runs `body` with a folder of its own. */
async function inFolder(body: (folder: string) => Promise<void>) {
  const folder = `${await Deno.makeTempDir()}/`;
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Puts a QEMU where a fetched one is: its loader is what is started. */
async function keep(folder: string, name: string, text: string) {
  const libraries = `${folder}${name}/usr/lib/x86_64-linux-gnu`;
  await Deno.mkdir(libraries, { recursive: true });
  const loader = `${libraries}/ld-linux-x86-64.so.2`;
  await fakeQemu(loader, text);
  return loader;
}

describe("a QEMU", () => {
  it("has a device if it says so, whatever its exit code", async () => {
    await inFolder(async (folder) => {
      const program = `${folder}qemu`;
      const qemu = { program, args: [] };
      assertEquals(await hasModel(qemu, "made-up-card"), false);
      await fakeQemu(program, "echo no such device >&2");
      assertEquals(await hasModel(qemu, "made-up-card"), false);
      await fakeQemu(program, `${HAS_IT}; exit 1`);
      assertEquals(await hasModel(qemu, "made-up-card"), true);
    });
  });

  it("is one that was fetched, where the machine's own has not the device", async () => {
    await inFolder(async (folder) => {
      const none = await assertRejects(() => findQemu(folder, DEVICE), Error);
      assertStringIncludes(none.message, "linux:build qemu");
      await keep(folder, "qemu-8", "true");
      const loader = await keep(folder, "qemu-10", HAS_IT);
      const { program, args } = await findQemu(folder, DEVICE);
      assertEquals(program, loader);
      assertEquals(args[0], "--library-path");
    });
  });

  it("that is there is not fetched again", async () => {
    await inFolder(async (folder) => {
      const loader = await keep(folder, "qemu-10", HAS_IT);
      const said: string[] = [];
      const found = await provideQemu(
        folder,
        [DEVICE],
        (line) => said.push(line),
      );
      assertEquals([found, ...said], [loader]);
      assertEquals(await isThere(found), true);
    });
  });
});
