// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { assertEq } from "../../selftests/harness/harness.ts";
import { REPORT_FORMATS } from "../reports/reports.ts";
import { fakeTest, passingTest } from "../testing/fake_target.ts";
import { type CommandFakes, runOnFakes } from "../testing/run_command.ts";

/** Clears the screen, in two ways, turns text round, and goes to the line's beginning. */
const HOSTILE = "\x1b[2J\x9b2J\u202eevil\r";
/** What a terminal would obey. */
const OBEYED = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

const tests = [
  passingTest("a.leaves_something"),
  passingTest("a.needs", { needs: ["vfio"] }),
  fakeTest("b.fails", () => {
    assertEq(HOSTILE, "", HOSTILE);
    return Promise.resolve();
  }),
  fakeTest("b.throws", () => {
    throw new Error(HOSTILE);
  }),
  fakeTest("c.known", () => {
    throw new Error(HOSTILE);
  }),
];

const hostile: CommandFakes = {
  uapi: "v3",
  name: HOSTILE,
  stderr: HOSTILE,
  problems: [HOSTILE],
  files: {
    "known.json": JSON.stringify([
      { id: "c", expect: "error", reason: HOSTILE, link: HOSTILE },
      { id: HOSTILE, expect: "fail", reason: HOSTILE, link: HOSTILE },
    ]),
  },
};

describe("Text of a target or a file", () => {
  for (const format of REPORT_FORMATS) {
    it(`has no power over who reads the ${format} report`, async () => {
      const args = ["--report", format, "--expectations", "known.json"];
      const { code, out, err } = await runOnFakes(args, tests, hostile);
      assertEquals(code, 1);
      // A badge has no text of anybody's.
      assertEquals((out + err).includes("evil"), format !== "badge");
      assertEquals(OBEYED.exec(out + err)?.[0], undefined);
    });
  }

  it("has none in a sentence about a target or a file", async () => {
    const startError = new Error(HOSTILE);
    for (
      const [args, fakes] of [
        [[], { uapi: "v3", startError }],
        [[], { askError: startError }],
        [[], { uapi: "v3", spawnError: startError }],
        [["--expectations", "x"], { files: { x: HOSTILE } }],
        [["--expectations", "x"], {
          files: { x: JSON.stringify([{ [HOSTILE]: 1 }]) },
        }],
        [["--filter", HOSTILE], {}],
        [[HOSTILE], {}],
      ] as [string[], CommandFakes][]
    ) {
      const { code, out, err } = await runOnFakes(args, tests, fakes);
      assertEquals([code > 1, out], [true, ""]);
      assertStringIncludes(err, "evil");
      assertEquals(OBEYED.exec(err), null);
    }
  });

  it("has none in what becomes of the expectations", async () => {
    const args = ["--update-expectations", "--expectations", "new.json"];
    const { out, err, files } = await runOnFakes(args, tests, hostile);
    assertMatch(files["new.json"]!, /evil/);
    assertEquals(OBEYED.exec(out + err + files["new.json"]), null);
  });
});

describe("A file of expectations", () => {
  const known = `[
    { "id": "b.fails", "expect": "fail", "reason": "why", "link": "where" }
  ]\n`;

  for (
    const [what, text] of [
      ["begins with a mark", `\ufeff${known}`],
      ["has lines that end as on Windows", known.replaceAll("\n", "\r\n")],
    ] as const
  ) {
    it(`is read where it ${what}`, async () => {
      const { code, out } = await runOnFakes(
        ["--expectations", "known.json"],
        [passingTest("a.x"), tests[2]!],
        { files: { "known.json": text } },
      );
      assertStringIncludes(out, "1 failed as expected");
      assertEquals(code, 0);
    });
  }
});
