// SPDX-License-Identifier: GPL-2.0-only

import { assertStringIncludes } from "@std/assert";
import { it } from "@std/testing/bdd";
import { KNOWN_BUGS } from "./known_bugs.ts";

it("the list of what the model does not do as Linux has every known bug", async () => {
  const url = new URL("../../impl/iommufd/README.md", import.meta.url);
  const text = await Deno.readTextFile(url);
  for (const name of Object.keys(KNOWN_BUGS)) {
    assertStringIncludes(text, `\n| \`${name}\` `);
  }
});
