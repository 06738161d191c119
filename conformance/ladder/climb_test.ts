// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { TestResult } from "../reports/results.ts";
import { result } from "../reports/testing/sample_run.ts";
import { passingTest } from "../testing/fake_target.ts";
import { climb, isDone, type Rung } from "./climb.ts";
import { formatLadder } from "./format_ladder.ts";
import { type Step, STEPS } from "./steps.ts";

/** A step of the ladder with tests of these names. */
function rung(name: string, ...ids: string[]): Rung {
  const step: Step = STEPS.find((step) => step.name === name)!;
  return { step, tests: ids.map((id) => passingTest(id)) };
}

const passed = (id: string) => result(id);
const failed = (id: string) =>
  result(id, {
    status: "fail",
    message: "IOMMU_IOAS_COPY: expected success, got ENOTTY",
    failure: {
      ...{ assertion: "IOMMU_IOAS_COPY", expected: "success" },
      ...{ actual: "ENOTTY", calls: 3, problems: [], where: "a.ts:7" },
    },
  });
const skipped = (id: string, reason: string) =>
  result(id, { status: "skip", reason, message: "No" });

const COMMANDS = {
  rerun: (spec: string, { id }: TestResult) => `run ${spec} ${id}`,
  replay: () => "",
};
const COLUMN = {
  spec: "stdio:./toy",
  uapi: "7.3" as const,
  target: "toy",
  targetVersion: "1",
};

describe("climb()", () => {
  it("runs one step after the other, to the first of which nothing passes", async () => {
    const rungs = [
      rung("objects", "a.a"),
      rung("copy", "b.a", "b.b"),
      rung("accesses", "c.a"),
      rung("files", "d.a"),
    ];
    const ran: string[] = [];
    const climbed = await climb(rungs, ({ step, tests }) => {
      ran.push(step.name);
      const make = step.name === "accesses" ? failed : passed;
      return Promise.resolve(tests.map(({ id }) => make(id)));
    });
    assertEquals(ran, ["objects", "copy", "accesses"]);
    assertEquals(climbed.map(({ results }) => results?.length), [
      ...[1, 2, 1],
      undefined,
    ]);
  });
});

describe("a step", () => {
  const { step, tests } = rung("mock devices", "a.a");
  const done = (...results: TestResult[]) => isDone({ step, tests, results });
  it("is done when tests pass and none fails", () => {
    assertEquals(done(passed("a.a")), true);
    assertEquals(done(passed("a.a"), failed("a.b")), false);
    assertEquals(done(), false);
  });
  it("is not when what it brings is missing", () => {
    const needs = (what: string) => done(passed("a.a"), skipped("a.b", what));
    assertEquals(needs("needs fork"), true);
    const op = "needs the test ioctl's operation";
    assertEquals(needs(`${op} MD_CHECK_MAP`), false);
    assertEquals(needs(`${op} ACCESS_RW`), true);
  });
});

describe("formatLadder()", () => {
  it("says where a target is, what fails there, and what to write", () => {
    const text = formatLadder(
      COLUMN,
      [
        { ...rung("objects", "a.a"), results: [passed("a.a")] },
        {
          ...rung("copy", "b.a", "b.b", "b.c", "b.d"),
          results: [
            ...[passed("b.a"), failed("b.b"), failed("b.c")],
            skipped("b.d", "needs fork"),
          ],
        },
        rung("accesses", "c.a"),
      ],
      COMMANDS,
      false,
    );
    assertEquals(
      text,
      `stdio:./toy: toy 1, uAPI 7.3

    1  objects      1 of    1
->  2  copy         1 of    4  2 failed, 1 skipped  <- you are here
    3  accesses     - of    1

You are at "copy": 1 of its 4 tests pass.
  next      Share the pages of areas between IOASes: they outlive the area that
            they came from.
  ioctls    IOMMU_IOAS_COPY
  see       include/uapi/linux/iommufd.h, drivers/iommu/iommufd/ioas.c,
            impl/iommufd/ioas
  unlocks   b.a, b.b, b.c, b.d

What fails there
  IOMMU_IOAS_COPY: expected success, got ENOTTY (a.ts:7)
    b.b, and 1 like it
  1 skipped: needs fork

Run one: run stdio:./toy b.b
`,
    );
  });

  it("says when nothing is missing", () => {
    const text = formatLadder(
      COLUMN,
      [{ ...rung("objects", "a.a"), results: [passed("a.a")] }],
      COMMANDS,
      false,
    );
    assertEquals(text.split("\n").slice(2), [
      "    1  objects     1 of    1",
      "",
      "Every step is there.",
      "",
    ]);
  });
});
