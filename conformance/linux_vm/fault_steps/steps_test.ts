// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { formatSteps, stepsOfModel } from "./steps.ts";

Deno.test("the model's steps are those that Linux 6.12 was seen to come to", async () => {
  const url = new URL("6.12.txt", import.meta.url);
  assertEquals(
    formatSteps(await stepsOfModel("6.12")),
    await Deno.readTextFile(url),
  );
});
