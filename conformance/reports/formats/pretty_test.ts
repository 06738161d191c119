// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes } from "@std/assert";
import { stripAnsiCode } from "@std/fmt/colors";
import { describe, it } from "@std/testing/bdd";
import { formatPretty } from "./pretty.ts";
import {
  column,
  COMMANDS,
  FAILED,
  MIXED,
  result,
  runOf,
  SKIPPED,
} from "../testing/sample_run.ts";

describe("formatPretty()", () => {
  it("says skip for a fixture of which nothing could run, and why", () => {
    const text = formatPretty(runOf([column([SKIPPED])]), COMMANDS, false);
    assertStringIncludes(
      text,
      "iommufd_ioas.mock  skip 0/1, 1 skipped  0 ms\n",
    );
    assertStringIncludes(text, "      1 skipped: needs hwpt\n");
  });

  it("tells one failure when every test failed in the same way", () => {
    const results = [FAILED, { ...FAILED, id: "a.b" }, SKIPPED];
    const text = formatPretty(runOf([column(results)]), COMMANDS, false);
    assertStringIncludes(text, "1) iommufd_ioas.mock.area [6.12] fail\n");
    assertStringIncludes(text, "All 2 tests failed in the same way: ");
    assertEquals(text.includes("2) "), false);

    const passed = runOf([column([...results, result("a.c")])]);
    assertEquals(
      formatPretty(passed, COMMANDS, false).includes("All 2 tests"),
      false,
    );
  });

  it("says once what was left behind when that is all that went wrong", () => {
    const problems = ["A page is pinned.", "User 0 is charged."];
    const left = result("a.b", {
      status: "fail",
      message: problems.join(" "),
      failure: {
        calls: 1,
        lastCall: { call: "close(3) = 0", request: 3 },
        problems,
      },
    });
    assertStringIncludes(
      formatPretty(runOf([column([left])]), COMMANDS, false),
      `1) a.b [6.12] fail
   Checks b
   A page is pinned. User 0 is charged.
   call 3    close(3) = 0
   rerun     rerun impl: 6.12 a.b
`,
    );
  });

  it("says that targets do not differ", () => {
    const columns = ["a:", "b:"].map((spec) =>
      column([result("a.b")], { spec })
    );
    assertStringIncludes(
      formatPretty(runOf(columns), COMMANDS, false),
      "Differences between targets\n  none\n",
    );
  });

  it("differs in colours only", () => {
    const colored = formatPretty(MIXED, COMMANDS, true);
    const plain = formatPretty(MIXED, COMMANDS, false);
    assertEquals(stripAnsiCode(colored), plain);
    assertEquals(colored === plain, Deno.noColor);
  });
});
