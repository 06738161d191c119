// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { REVISION_NAMES } from "../../impl/uapi/revision.ts";
import { UsageError } from "../lib/usage_error.ts";
import { isThere } from "../linux_vm/programs.ts";
import { builtAgent, parseLinuxHere } from "./target.ts";

const compiler = await isThere("gcc");

describe("linux-here:", () => {
  it("is the model in a revision, by default in each", async () => {
    for (const revision of REVISION_NAMES) {
      const target = parseLinuxHere(revision, `linux-here:${revision}`);
      assertEquals(await target.revisions(), [revision]);
    }
    const all = parseLinuxHere("", "linux-here:");
    assertEquals(await all.revisions(), REVISION_NAMES);
  });

  it("has a device where there are such files", async () => {
    const rest = "device=igb,container=type1";
    const { revisions } = parseLinuxHere(rest, `linux-here:${rest}`);
    assertEquals(await revisions(), ["6.12", "7.3"]);
  });

  it("takes nothing else", () => {
    for (const rest of ["6.1", "accel=kvm", "7.3,", "device=nvme"]) {
      assertThrows(() => parseLinuxHere(rest, "linux-here:"), UsageError);
    }
  });

  it("compiles the agent once", {
    skip: !compiler && "there is no compiler",
  }, async () => {
    const folder = `${await Deno.makeTempDir()}/`;
    const path = await builtAgent(folder);
    const { mtime } = await Deno.stat(path);
    assertEquals(await builtAgent(folder), path);
    assertEquals((await Deno.stat(path)).mtime, mtime);
    await Deno.remove(folder, { recursive: true });
  });
});
