// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  cellOf,
  columnName,
  differences,
  groupsOf,
  halfSkipped,
  rowsOf,
} from "./matrix.ts";
import { column, result, runOf } from "./testing/sample_run.ts";

describe("rowsOf()", () => {
  it("puts a test that only a later column has behind its predecessor there", () => {
    const run = runOf([
      column(["a.1", "a.3", "b.1"].map((id) => result(id))),
      column(
        ["a.0", "a.1", "a.2", "a.3", "b.1", "b.2"].map((id) => result(id)),
      ),
    ]);
    const rows = rowsOf(run);
    assertEquals(
      rows.map(({ id }) => id),
      ["a.0", "a.1", "a.2", "a.3", "b.1", "b.2"],
    );
    assertEquals(
      rows.map(({ results }) => results.map((each) => each !== undefined)),
      [
        [false, true],
        [true, true],
        [false, true],
        [true, true],
        [true, true],
        [false, true],
      ],
    );
  });
});

describe("cellOf()", () => {
  it("is as bad as the worst of a group, and nothing where there is no test", () => {
    const run = runOf([
      column([
        result("a.1"),
        result("a.2", { status: "timeout" }),
        result("a.3", { status: "fail" }),
      ]),
      column([]),
    ]);
    const [group] = groupsOf(rowsOf(run));
    assertEquals(cellOf(group!, 0).status, "timeout");
    assertEquals(cellOf(group!, 0).counts.total, 3);
    assertEquals(cellOf(group!, 1).status, undefined);
  });
});

describe("differences()", () => {
  const failed = result("a.1", { status: "fail" });
  const skipped = result("a.1", { status: "skip", reason: "needs x" });
  const one = column([result("a.1")], { spec: "one:" });

  it("are tests with other verdicts", () => {
    const run = runOf([one, column([failed], { spec: "two:" })]);
    const rows = rowsOf(run);
    assertEquals(differences(run).map(({ id }) => id), ["a.1"]);
    assertEquals(halfSkipped(run, rows), 0);
  });

  it("are not tests that one target skipped: these are counted", () => {
    const run = runOf([one, column([skipped], { spec: "two:" })]);
    const rows = rowsOf(run);
    assertEquals(differences(run), []);
    assertEquals(halfSkipped(run, rows), 1);
  });

  it("are none between the revisions of a target", () => {
    const run = runOf([one, column([failed], { spec: "one:", uapi: "v3" })]);
    assertEquals(differences(run), []);
    assertEquals(run.columns.map((each) => columnName(each, run)), [
      "6.12",
      "v3",
    ]);
  });
});
