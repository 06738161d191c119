// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { KERNELS } from "../kernels/kernels.ts";
import { formatSteps, stepsOfModel } from "./steps.ts";

for (const { revision } of KERNELS) {
  Deno.test(`the model's steps are those that Linux ${revision} was seen to come to`, async () => {
    const url = new URL(`${revision}.txt`, import.meta.url);
    assertEquals(
      formatSteps(await stepsOfModel(revision)),
      await Deno.readTextFile(url),
    );
  });
}
