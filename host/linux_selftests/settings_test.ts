// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { settingsOf } from "./settings.ts";
import { IOMMU, suitesOf, VFIO } from "./sources.ts";

describe("the machines for a program", () => {
  it("are one for iommufd's, which say themselves what they skip", () => {
    for (const program of IOMMU.programs) {
      const [setting, ...more] = settingsOf(program, "6.12");
      assertEquals([more, setting!.options], [[], ["--uapi", "6.12"]]);
      assertEquals(setting!.skips.test("any.test # SKIP"), true);
    }
  });

  it("are one with each container for VFIO's, which skip a huge page alone", () => {
    for (const program of VFIO.programs) {
      const settings = settingsOf(program, "7.3");
      assertEquals(settings.map(({ name }) => name), ["type1", "iommufd"]);
      for (const { skips, args } of settings) {
        assertEquals(skips.test("a.iommufd_anonymous_hugetlb_1gb.b"), true);
        assertEquals(skips.test("a.iommufd_anonymous_hugetlb_2mb.b"), false);
        assertEquals(args[0], "0000:00:04.0");
      }
    }
  });

  it("let BARs be mapped with type1 alone", () => {
    const known = VFIO.programs.flatMap((program) =>
      settingsOf(program, "7.3").map(({ name, fails }) => [name, fails.length])
    ).filter(([, count]) => count !== 0);
    assertEquals(known, [["iommufd", 6]]);
  });

  it("are of revisions that have the programs", () => {
    assertEquals(suitesOf("6.12"), [IOMMU]);
    assertEquals(suitesOf("7.3"), [IOMMU, VFIO]);
  });
});
