// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { formatKtap } from "./ktap.ts";
import { column, result, runOf } from "../testing/sample_run.ts";

/** The lines that are no comments. */
function lines(text: string): string[] {
  return text.split("\n").filter((line) => !/^ *#|^$/.test(line));
}

describe("formatKtap()", () => {
  it("prints one program on one target as the kernel's harness does", () => {
    const run = runOf([
      column(
        ["iommufd.simple_close", "iommufd.cmd_fail"].map((id) => result(id)),
      ),
    ]);
    assertEquals(lines(formatKtap(run)), [
      "TAP version 13",
      "1..2",
      "ok 1 iommufd.simple_close",
      "ok 2 iommufd.cmd_fail",
    ]);
  });

  it("prints what a test says about its run before it", () => {
    const notes = ["swept 32 injection points"];
    const text = formatKtap(
      runOf([column([result("basic_fail_nth.basic", { notes })])]),
    );
    assertEquals(text.split("\n").slice(-3), [
      "#  swept 32 injection points",
      "ok 1 basic_fail_nth.basic",
      "",
    ]);
  });

  it("tells a list that has a failure as failed", () => {
    const failed = result("basic_fail_nth.basic", {
      program: "iommufd_fail_nth",
      status: "fail",
      message: "no",
    });
    const run = runOf([column([result("iommufd.simple_close"), failed])]);
    assertEquals(lines(formatKtap(run)), [
      "KTAP version 1",
      "1..2",
      "  KTAP version 1",
      "  1..1",
      "  ok 1 iommufd.simple_close",
      "ok 1 iommufd",
      "  KTAP version 1",
      "  1..1",
      "  not ok 1 basic_fail_nth.basic",
      "not ok 2 iommufd_fail_nth",
    ]);
  });
});
