// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { lives, processesWith } from "./processes.ts";

describe("processes", () => {
  it("are found while they run, and not after their end", async () => {
    const tag = crypto.randomUUID();
    const child = new Deno.Command("sh", {
      args: ["-c", `: ${tag}; read x`],
      stdin: "piped",
    }).spawn();
    assertEquals(lives(child.pid), true);
    assertEquals(processesWith(tag).length, 1);
    await child.stdin.close();
    await child.status;
    assertEquals(lives(child.pid), false);
    assertEquals(processesWith(tag), []);
  });
});
