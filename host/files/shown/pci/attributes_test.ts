// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { maskOf } from "./attributes.ts";

describe("A list of processors as a mask", () => {
  it("has a bit for each, in words of 32", () => {
    const masks = {
      "0\n": "1\n",
      "0-1\n": "3\n",
      "0-2,5\n": "27\n",
      "0-31\n": "ffffffff\n",
      "0,33-34\n": "6,00000001\n",
    };
    for (const [list, mask] of Object.entries(masks)) {
      assertEquals(maskOf(list), mask, list);
    }
  });
});
