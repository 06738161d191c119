// SPDX-License-Identifier: GPL-2.0-only

/** Tests with cases, from the command line to the reports. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EINVAL } from "../../impl/uapi/errno.ts";
import { IOMMU_DESTROY, IommuDestroy } from "../../impl/uapi/iommufd.ts";
import {
  assertErrno,
  type TargetProcess,
} from "../../selftests/harness/harness.ts";
import type { Expectation } from "../expectations/expectations.ts";
import type { JsonReport } from "../reports/formats/json.ts";
import { fakeTable, passingTest } from "../testing/fake_target.ts";
import { runOnFakes } from "../testing/run_command.ts";

/** Passes where an ioctl fails with EINVAL. */
async function picky(process: TargetProcess): Promise<void> {
  const arg = IommuDestroy.encode({ id: 1 });
  const ret = await process.ioctl(3, IOMMU_DESTROY, arg);
  assertErrno(ret, EINVAL, "DESTROY");
}

const TESTS = [
  passingTest("a.x"),
  fakeTable("b.t", {
    one: () => Promise.resolve(),
    two: picky,
    three: () => Promise.resolve(),
  }),
];

/** Runs the command; returns the exit code, the output, and how tests and cases ended. */
async function run(
  args: string,
  files: Readonly<Record<string, string>> = {},
  ioctlResult = 0,
) {
  const words = `--uapi 6.12 --report json ${args}`.trim().split(" ");
  const outcome = await runOnFakes(words, TESTS, { ioctlResult, files });
  const report = outcome.out === ""
    ? undefined
    : JSON.parse(outcome.out) as JsonReport;
  const lines = report?.targets.flatMap(({ tests }) => tests).flatMap((test) =>
    [test, ...test.cases ?? []].map(({ id, status }) => `${id} ${status}`)
  );
  return { ...outcome, report, lines };
}

/** The file of expectations with these entries. */
function known(...entries: Partial<Expectation>[]): Record<string, string> {
  const all = entries.map((entry) => ({
    expect: "fail",
    reason: "Known",
    link: "x:1",
    ...entry,
  }));
  return { "known.json": JSON.stringify(all) };
}

describe("a test with cases", () => {
  it("tells each of them, and counts them apart from tests", async () => {
    const { code, lines, report } = await run("");
    assertEquals(code, 1);
    assertEquals(lines, [
      "a.x pass",
      "b.t fail",
      "b.t/one pass",
      "b.t/two fail",
      "b.t/three pass",
    ]);
    assertEquals([report!.summary.total, report!.cases.total], [2, 3]);
    assertEquals([report!.summary.fail, report!.cases.fail], [1, 1]);
  });

  it("passes as a whole", async () => {
    const { code, lines } = await run("", {}, -EINVAL.code);
    assertEquals(code, 0);
    assertEquals(lines!.every((line) => line.endsWith(" pass")), true);
  });

  it("is told with the command and the calls of the case that failed", async () => {
    const words = "--uapi 6.12 --transcripts saved".split(" ");
    const { out, files } = await runOnFakes(words, TESTS);
    assertStringIncludes(out, "1) b.t/two [6.12] fail\n   Checks b.t: two\n");
    assertStringIncludes(
      out,
      "rerun     deno task conformance --uapi 6.12 --filter b.t/two\n",
    );
    assertEquals(Object.keys(files), ["saved/impl/6.12/b.t-two.txt"]);
    assertStringIncludes(Object.values(files)[0]!, "# test b.t/two\n");
    assertStringIncludes(out, "0 of 1 own tests passed (2 of 3 cases)");
  });

  for (
    const [filters, expected] of [
      ["b.t", ["b.t", "b.t/one", "b.t/two", "b.t/three"]],
      ["b.t/two", ["b.t", "b.t/two"]],
      ["*/t*", ["b.t", "b.t/two", "b.t/three"]],
      ["!b.t/two", ["a.x", "b.t", "b.t/one", "b.t/three"]],
      ["!b", ["a.x"]],
    ] as const
  ) {
    it(`is filtered by ${filters}`, async () => {
      const { lines } = await run(`--filter ${filters}`);
      assertEquals(lines!.map((line) => line.split(" ")[0]), [...expected]);
    });
  }

  it("refuses a filter that no case matches, with one that does", async () => {
    const { code, err } = await run("--filter b.t/tow");
    assertEquals([code, err], [
      2,
      `--filter "b.t/tow" matches no test. Did you mean "b.t/two"?\n`,
    ]);
  });

  it("is listed case by case", async () => {
    const { out } = await runOnFakes(["list", "--uapi", "6.12"], TESTS);
    assertEquals(out, "a.x\nb.t/one\nb.t/two\nb.t/three\n");
    const json = await runOnFakes(
      "list --uapi 6.12 --report json --filter b.t/one".split(" "),
      TESTS,
    );
    const [test] = JSON.parse(json.out);
    assertEquals(test.cases, [{
      id: "b.t/one",
      description: "Checks b.t: one",
    }]);
  });

  it("is explained with its cases, and a case by itself", async () => {
    const test = await runOnFakes(["explain", "t"], TESTS);
    assertStringIncludes(test.out, "b.t\n  checks      Checks b.t\n");
    assertStringIncludes(
      test.out,
      "  case        one\n  case        two\n  case        three\n",
    );
    const one = await runOnFakes(["explain", "b.t/one"], TESTS);
    assertStringIncludes(one.out, "b.t/one\n  checks      Checks b.t: one\n");
  });
});

describe("expectations of cases", () => {
  it("excuse the case that they name", async () => {
    const files = known({ id: "b.t/two" });
    const { code, lines } = await run("--expectations known.json", files);
    assertEquals(code, 0);
    assertEquals(lines!.slice(1), [
      "b.t xfail",
      "b.t/one pass",
      "b.t/two xfail",
      "b.t/three pass",
    ]);
  });

  it("are out of date when the case passes", async () => {
    const files = known({ id: "b.t/one" }, { id: "b.t/two" });
    const { code, lines } = await run("--expectations known.json", files);
    assertEquals(code, 1);
    assertEquals(lines!.slice(1, 3), ["b.t xpass", "b.t/one xpass"]);
  });

  it("are for all cases of a test that they name", async () => {
    const files = known({ id: "b.t", expect: ["pass", "fail"] });
    const { code, lines } = await run("--expectations known.json", files);
    assertEquals([code, lines![3]], [0, "b.t/two xfail"]);
  });

  it("are a problem when they match no case", async () => {
    const files = known({ id: "b.t/two" }, { id: "b.t/four" });
    const { code, report } = await run("--expectations known.json", files);
    assertEquals(code, 1);
    assertEquals(report!.problems, [
      `known.json, entry 2: "b.t/four" matches no test`,
    ]);
  });

  it("are written for the cases that failed, and narrowed down to them", async () => {
    const update = "--expectations known.json --update-expectations";
    const none = await run(update);
    assertEquals(JSON.parse(none.files["known.json"]!), [{
      id: "b.t/two",
      when: { target: "impl:" },
      expect: "fail",
      reason: "DESTROY: expected EINVAL, got success (0)",
      link: "",
    }]);
    const wide = await run(update, known({ id: "b.t" }));
    const [entry, ...others] = JSON.parse(wide.files["known.json"]!);
    assertEquals([entry.id, entry.reason, others], ["b.t/two", "Known", []]);
  });
});
