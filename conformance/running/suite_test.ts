// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { NEWEST } from "../../impl/uapi/revision.ts";
import { allTests } from "../../selftests/all.ts";
import type { Test } from "../../selftests/harness/harness.ts";
import { suiteInfo } from "./suite.ts";
import { passingTest } from "../testing/fake_target.ts";
import { VERSION } from "../version.ts";

async function hashOf(...tests: Test[]): Promise<string> {
  return (await suiteInfo(() => tests)).hash;
}

describe("suiteInfo()", () => {
  const test = passingTest("a.b");

  it("names the version and a hash of twelve digits", async () => {
    const { version, hash } = await suiteInfo(allTests);
    assertEquals(version, VERSION);
    assertMatch(hash, /^[\da-f]{12}$/);
  });

  it("has the same hash for the same tests", async () => {
    assertEquals(
      (await suiteInfo(allTests)).hash,
      (await suiteInfo(allTests)).hash,
    );
    assertEquals(await hashOf({ ...test }), await hashOf(test));
  });

  for (
    const change of [
      { id: "a.c" },
      { needs: ["fork"] },
      { description: "Checks something else" },
      { source: "another body" },
    ] as const
  ) {
    it(`has another hash when ${Object.keys(change)} changes`, async () => {
      assertNotEquals(await hashOf({ ...test, ...change }), await hashOf(test));
    });
  }

  it("tells the sources of the suite's tests apart", () => {
    const sources = new Set(allTests(NEWEST).map(({ source }) => source));
    assertEquals(sources.size > 100, true);
  });
});
