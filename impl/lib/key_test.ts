// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { after, before, isBefore, isSame } from "./key.ts";

describe("keys", () => {
  it("order numbers and bigints alike", () => {
    for (const [low, high] of [[1, 2], [2n ** 64n - 2n, 2n ** 64n - 1n]]) {
      assertEquals(isBefore(low!, high!), true);
      assertEquals(isBefore(high!, low!), false);
      assertEquals(isBefore(low!, low!), false);
      assertEquals(isSame(low!, high!), false);
      assertEquals(isSame(after(low!), high!), true);
      assertEquals(isSame(before(high!), low!), true);
    }
  });

  it("do not wrap at the end of the address space", () => {
    const last = 2n ** 64n - 1n;
    assertEquals(after(last), 2n ** 64n);
    assertEquals(isBefore(last, after(last)), true);
  });
});
