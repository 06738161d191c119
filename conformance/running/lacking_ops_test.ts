// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IOMMU_TEST_CMD, TestMemoryLimit } from "../../impl/uapi/selftest.ts";
import { allTests } from "../../selftests/all.ts";
import type { Test } from "../../selftests/harness/harness.ts";
import { implTarget } from "../../selftests/target/impl_target.ts";
import type { Target } from "../../selftests/target/target.ts";
import {
  type Column,
  refusedSkips,
  type TestResult,
} from "../reports/results.ts";
import { fakeTable, fakeTest } from "../testing/fake_target.ts";
import { runCases } from "./run_cases.ts";
import { runTest } from "./run_one.ts";

const TESTS = new Map(allTests("7.3").map((test) => [test.id, test]));

/** What a test comes to on the model, of which only these operations are told. */
async function runWith(
  testOps: readonly string[],
  test: Test,
): Promise<TestResult> {
  const model = await implTarget("7.3");
  const target: Target = {
    info: { ...model.info, testOps },
    spawn: (needs) => model.spawn(needs),
    make: (process, calls) => model.make(process, calls),
    reset: () => model.reset(),
    close: () => model.close(),
  };
  return await runCases(test, (each) => runTest(each, target));
}

describe("a target without operations of the test ioctl", () => {
  it("ends a test where it asks for one, as a skip that names it", async () => {
    const test = TESTS.get("iommufd_ioas.mock_domain.area")!;
    const ops = ["SET_TEMP_MEMORY_LIMIT", "MD_CHECK_REFS"];
    const { status, reason, message, failure } = await runWith(ops, test);
    assertEquals([status, failure], ["skip", undefined]);
    assertEquals(reason, "needs the test ioctl's operation MOCK_DOMAIN");
    assertEquals(message, `The test ${reason}, which the target does not have`);
  });

  it("lets a test go on without a limit and without looking at pins, and says so", async () => {
    const test = TESTS.get("iommufd_ioas.no_domain.area")!;
    const { status, notes } = await runWith([], test);
    assertEquals(status, "pass");
    assertEquals(notes, [
      "weaker: no memory limit was set",
      "weaker: nobody looked how often pages are pinned",
    ]);
  });

  it("is asked for what it has, and then nothing is weaker", async () => {
    const test = TESTS.get("iommufd_ioas.no_domain.area")!;
    const ops = ["SET_TEMP_MEMORY_LIMIT", "MD_CHECK_REFS"];
    const { status, notes } = await runWith(ops, test);
    assertEquals([status, notes], ["pass", undefined]);
  });

  it("is not asked for a limit that a test is about", async () => {
    const test = TESTS.get("basic_fail_nth.map_domain")!;
    const { reason } = await runWith(["MOCK_DOMAIN", "MD_CHECK_REFS"], test);
    assertEquals(
      reason,
      "needs the test ioctl's operation SET_TEMP_MEMORY_LIMIT",
    );
  });

  it("gets calls that ask for no operation if it has any", async () => {
    const struct = TestMemoryLimit.encode({ op: 99 });
    const test = fakeTest("a.b", async (process) => {
      await process.ioctl(3, IOMMU_TEST_CMD, struct);
    });
    assertEquals((await runWith(["MOCK_DOMAIN"], test)).status, "pass");
    const { status, reason } = await runWith([], test);
    assertEquals([status, reason], ["skip", "needs the test ioctl"]);
  });

  it("runs the cases of a test that need none", async () => {
    const struct = TestMemoryLimit.encode({ op: 9, limit: 64 });
    const test = fakeTable("a.b", {
      before: (process) => process.open("/dev/iommu"),
      within: (process) => process.ioctl(3, IOMMU_TEST_CMD, struct),
      after: (process) => process.open("/dev/iommu"),
    });
    const result = await runWith([], test);
    const { status, cases } = result;
    assertEquals(status, "pass");
    assertEquals(cases?.map(({ status }) => status), ["pass", "skip", "pass"]);
    const column: Column = {
      ...{ spec: "x:", uapi: "7.3", target: "x", targetVersion: "1" },
      results: [result],
    };
    assertEquals(refusedSkips(column, [""]), [
      "x: 7.3: 1 skipped, and none may be: needs the test ioctl's operation SET_TEMP_MEMORY_LIMIT",
    ]);
  });
});
