// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { parseTap, withKnown } from "./tap.ts";

const TEXT = `TAP version 13
1..3
# Starting 3 tests from 3 test cases.
#  RUN           iommufd.simple_close ...
#            OK  iommufd.simple_close
ok 1 iommufd.simple_close
#      SKIP      no huge pages
ok 2 iommufd.huge # SKIP no huge pages
not ok 3 iommufd.broken
# Totals: pass:1 fail:1 xfail:0 xpass:0 skip:1 error:0
`;

describe("what a selftest program prints", () => {
  it("tells how each test ended", () => {
    assertEquals(parseTap(TEXT), {
      planned: 3,
      passed: ["iommufd.simple_close"],
      failed: ["iommufd.broken"],
      skipped: ["iommufd.huge # SKIP no huge pages"],
    });
  });

  it("has failed where a test that was planned did not end", () => {
    const { failed } = parseTap(TEXT.replace("not ok 3 iommufd.broken\n", ""));
    assertEquals(failed, ["1 that never ended"]);
  });

  it("is as it must be where a test fails that fails on real Linux too", () => {
    const { failed, skipped } = parseTap(withKnown(TEXT, ["iommufd.broken"]));
    assertEquals([failed, skipped.length], [[], 2]);
    assertEquals(skipped[1], "iommufd.broken # SKIP fails on real Linux too");
  });

  it("has failed where a test passes that fails on real Linux", () => {
    const { failed, passed } = parseTap(
      withKnown(TEXT, ["iommufd.simple_close", "iommufd.broken"]),
    );
    assertEquals(passed, []);
    assertEquals(failed, ["iommufd.simple_close # fails on real Linux"]);
  });

  it("has failed where there is no plan", () => {
    assertEquals(parseTap("").failed, ["all: the program said no plan"]);
  });
});
