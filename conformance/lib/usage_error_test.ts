// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { suggestion, UsageError } from "./usage_error.ts";

describe("suggestion()", () => {
  const names = ["iommufd", "iommufd_ioas", "kit_map"];

  for (
    const [word, nearest] of [
      ["iomufd", "iommufd"],
      ["iommufd_iaos", "iommufd_ioas"],
      ["kit-map", "kit_map"],
    ]
  ) {
    it(`is ${nearest} for ${word}`, () => {
      assertEquals(suggestion(word!, names), ` Did you mean "${nearest}"?`);
    });
  }

  it("is nothing where nothing is near", () => {
    assertEquals(suggestion("vfio", names), "");
    assertEquals(suggestion("9", ["v3", "6.12"]), "");
  });

  it("does not compare what cannot be near, such as a word without end", () => {
    let looks = 0;
    const long: unknown = new Proxy(Object("x".repeat(1_000_000)) as string[], {
      get: (target, key) => {
        looks++;
        return target[Number(key)] ?? target.length;
      },
    });
    assertEquals(suggestion(long as string, names), "");
    assertEquals(looks < 20, true);
  });
});

describe("UsageError", () => {
  it("has a message that a terminal shows and does not obey", () => {
    assertEquals(new UsageError("\x1b[2J").message, "\\x1b[2J");
  });
});
