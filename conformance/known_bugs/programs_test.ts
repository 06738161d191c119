// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { REVISION_NAMES } from "../../impl/uapi/revision.ts";
import { KNOWN_BUGS } from "../../selftests/harness/known_bugs.ts";
import { implTarget } from "../../selftests/target/impl_target.ts";
import { runTest } from "../running/run_one.ts";
import { knownBugPrograms, WITHOUT_PROGRAM } from "./programs.ts";

describe("the programs for the known bugs of Linux", () => {
  it("are there for each, or the reason why not", () => {
    const names = knownBugPrograms().map(({ name }) => name);
    const without = Object.keys(WITHOUT_PROGRAM);
    assertEquals(
      [...names, ...without].sort(),
      Object.keys(KNOWN_BUGS).sort(),
    );
  });

  for (const program of knownBugPrograms()) {
    for (const uapi of REVISION_NAMES) {
      if (!program.uapi.includes(uapi)) continue;
      it(`find nothing in the model: ${program.name} [${uapi}]`, async () => {
        const target = await implTarget(uapi);
        const { status, message } = await runTest(program, target);
        assertEquals([status, message], ["pass", undefined]);
        await target.close();
      });
    }
  }
});
