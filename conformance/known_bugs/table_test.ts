// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import { formatKnownBugs } from "./table.ts";

it("the README has each known bug of Linux as the table has it, and no other", async () => {
  const url = new URL("README.md", import.meta.url);
  const [bugs] = (await Deno.readTextFile(url)).split("\n## ");
  const lines = bugs!.split("\n")
    .filter((line) => /^\| (name|`)/.test(line))
    .map((line) => line.replace(/ +\|/g, " |"));
  assertEquals(lines, formatKnownBugs());
});
