// SPDX-License-Identifier: GPL-2.0-only

/**
 * Nothing that a process can have many of makes the model slow: twice as many
 * take twice as many steps, and a little more where trees become deeper.
 */

import { assert, assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import type { Growth } from "./testing/growth_count.ts";

/** Steps for twice as many, of those for so many. */
const MOST = 2.4;

it("steps grow in proportion to the number of objects, areas, pins, faults", async () => {
  const script = new URL("./testing/growth_count.ts", import.meta.url);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-sys", script.href],
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  const growths: Growth[] = JSON.parse(new TextDecoder().decode(stdout));
  const grows = growths
    .map(({ what, steps: [once, twice] }) => ({ what, by: twice! / once! }))
    .filter(({ by }) => by > MOST);
  assert(growths.length > 50);
  // What grows with the square is noticed.
  assertEquals(grows.map(({ what }) => what), ["v3, control: ranges"]);
});
