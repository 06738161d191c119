// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { stripAnsiCode } from "@std/fmt/colors";
import { describe, it } from "@std/testing/bdd";
import type { Run, TestResult } from "../results.ts";
import { VERSION } from "../version.ts";
import { formatJson, jsonReport } from "./json.ts";
import { formatKtap } from "./ktap.ts";
import { formatPretty } from "./pretty.ts";

function result(
  id: string,
  more: Partial<TestResult> = {},
): TestResult {
  const parts = id.split(".");
  return {
    id,
    fixture: parts[0]!,
    variant: parts.length > 2 ? parts[1] : undefined,
    upstream: true,
    uapi: "6.12",
    status: "pass",
    durationMs: 1.25,
    ...more,
  };
}

const PASSED: Run = {
  targetSpec: "impl:",
  revisions: [{
    uapi: "6.12",
    target: "model",
    targetVersion: "1.0.0",
    results: [
      result("iommufd.simple_close"),
      result("iommufd.cmd_fail"),
      result("iommufd_ioas.mock.area"),
    ],
  }],
};

const SKIPPED = result("iommufd_ioas.mock.hwpt", {
  status: "skip",
  durationMs: 0,
  reason: "needs hwpt",
  message: "The target model does not offer hwpt",
});

const FAILED = result("iommufd_ioas.mock.area", {
  status: "fail",
  message: "IOMMU_IOAS_MAP: expected EINVAL, got success (0)",
  failure: {
    assertion: "IOMMU_IOAS_MAP",
    expected: "EINVAL",
    actual: "success (0)",
    calls: 17,
    lastCall: { call: "munmap(0x10000, 0x1000) = 0" },
    lastIoctl: {
      call: "ioctl(3, IOMMU_IOAS_MAP) = 0",
      struct: { name: "iommu_ioas_map", fields: { size: "40", iova: "0x0" } },
    },
    problems: ["2 frames are still pinned."],
  },
});

const HUNG = result("kit_ioas.hang", {
  upstream: false,
  status: "timeout",
  durationMs: 30_000,
  message: "No end after 30 seconds",
  failure: { calls: 0, problems: [] },
});

const BROKEN = result("iommufd.cmd_fail", {
  status: "error",
  message: "KernelBug: Cannot put frame 3:\n its count falls to -1",
  failure: {
    calls: 0,
    problems: [],
    stack: "KernelBug: Cannot put frame 3\n    at put (frames.ts:1:2)",
  },
});

const MIXED: Run = {
  targetSpec: "impl:scattered=7",
  revisions: [
    {
      uapi: "v3",
      target: "model",
      targetVersion: "1.0.0",
      results: [result("iommufd.simple_close", { uapi: "v3" })],
    },
    {
      uapi: "6.12",
      target: "model",
      targetVersion: "1.0.0",
      results: [
        result("iommufd.simple_close"),
        BROKEN,
        FAILED,
        SKIPPED,
        HUNG,
      ],
    },
  ],
};

describe("formatKtap()", () => {
  it("prints one revision as the kernel's harness does", () => {
    assertEquals(
      formatKtap(PASSED),
      `TAP version 13
1..3
ok 1 iommufd.simple_close
ok 2 iommufd.cmd_fail
ok 3 iommufd_ioas.mock.area
`,
    );
  });

  it("nests several revisions, with directives and diagnostics", () => {
    assertEquals(
      formatKtap(MIXED),
      `KTAP version 1
1..2
  KTAP version 1
  1..1
  ok 1 iommufd.simple_close
ok 1 v3
  KTAP version 1
  1..5
  ok 1 iommufd.simple_close
  # iommufd.cmd_fail: KernelBug: Cannot put frame 3: its count falls to -1
  not ok 2 iommufd.cmd_fail # ERROR KernelBug: Cannot put frame 3: its count falls to -1
  # iommufd_ioas.mock.area: IOMMU_IOAS_MAP: expected EINVAL, got success (0)
  # iommufd_ioas.mock.area: munmap(0x10000, 0x1000) = 0
  # iommufd_ioas.mock.area: ioctl(3, IOMMU_IOAS_MAP) = 0
  # iommufd_ioas.mock.area: 2 frames are still pinned.
  not ok 3 iommufd_ioas.mock.area
  ok 4 iommufd_ioas.mock.hwpt # SKIP needs hwpt
  # kit_ioas.hang: No end after 30 seconds
  not ok 5 kit_ioas.hang # TIMEOUT No end after 30 seconds
not ok 2 6.12
`,
    );
  });
});

describe("jsonReport()", () => {
  it("names suite and target and counts", () => {
    const report = jsonReport(MIXED);
    assertEquals(report.suite, {
      name: "iommufd-kit conformance",
      version: VERSION,
    });
    assertEquals(report.target, {
      name: "model",
      version: "1.0.0",
      spec: "impl:scattered=7",
      uapi: "v3,6.12",
    });
    assertEquals(report.summary, {
      pass: 2,
      fail: 1,
      skip: 1,
      crash: 0,
      timeout: 1,
      error: 1,
      notrun: 0,
      total: 6,
    });
    assertEquals(report.revisions[1]?.uapi, "6.12");
    assertEquals(report.revisions[1]?.kernel.total, 4);
    assertEquals(report.revisions[1]?.kit.timeout, 1);
  });

  it("has each test with what there is to say about it", () => {
    const { tests } = jsonReport(MIXED);
    assertEquals(tests[1], {
      id: "iommufd.simple_close",
      uapi: "6.12",
      upstream: true,
      status: "pass",
      durationMs: 1.25,
    });
    assertEquals(tests[4]?.reason, "needs hwpt");
    assertEquals(tests[3]?.failure, FAILED.failure);
  });

  it("is what formatJson() prints", () => {
    const text = formatJson(MIXED);
    assert(text.endsWith("}\n"));
    assertEquals(JSON.parse(text), jsonReport(MIXED));
  });
});

describe("formatPretty()", () => {
  const options = {
    color: false,
    rerunCommand: ({ id }: TestResult) => `run ${id}`,
  };

  it("is short when all is well", () => {
    assertEquals(
      formatPretty(PASSED, options),
      `iommufd-kit conformance ${VERSION} on model 1.0.0 (impl:)

uAPI 6.12
  ok    iommufd               2 passed  3 ms
  ok    iommufd_ioas.mock     1 passed  1 ms

6.12: 3 passed, 0 failed, 0 skipped of 3 kernel tests
`,
    );
  });

  it("tells every failure in detail and why tests were skipped", () => {
    assertEquals(
      formatPretty(MIXED, options),
      `iommufd-kit conformance ${VERSION} on model 1.0.0 (impl:scattered=7)

uAPI v3
  ok    iommufd     1 passed  1 ms

uAPI 6.12
  FAIL  iommufd               1 passed, 1 failed (1 with an error)  3 ms
  FAIL  iommufd_ioas.mock     0 passed, 1 failed, 1 skipped  1 ms
  FAIL  kit_ioas              0 passed, 1 failed (1 timed out)  30.0 s

Failures

1) iommufd.cmd_fail [6.12]
   KernelBug: Cannot put frame 3:
    its count falls to -1
       at put (frames.ts:1:2)
   rerun     run iommufd.cmd_fail

2) iommufd_ioas.mock.area [6.12]
   checked   IOMMU_IOAS_MAP
   expected  EINVAL
   actual    success (0)
   call 17   munmap(0x10000, 0x1000) = 0
   ioctl     ioctl(3, IOMMU_IOAS_MAP) = 0
   struct    iommu_ioas_map { size 40, iova 0x0 }
   left      2 frames are still pinned.
   rerun     run iommufd_ioas.mock.area

3) kit_ioas.hang [6.12]
   No end after 30 seconds
   rerun     run kit_ioas.hang

v3: 1 passed, 0 failed, 0 skipped of 1 kernel tests
6.12: 1 passed, 2 failed (1 with an error), 1 skipped of 4 kernel tests; 0 passed, 1 failed (1 timed out), 0 skipped of 1 own tests
      1 skipped: needs hwpt
`,
    );
  });

  it("says skip for a fixture of which nothing could run", () => {
    const run: Run = {
      ...PASSED,
      revisions: [{ ...PASSED.revisions[0]!, results: [SKIPPED] }],
    };
    assertStringIncludes(
      formatPretty(run, options),
      "  skip  iommufd_ioas.mock     0 passed, 1 skipped  0 ms\n",
    );
  });

  it("tells one failure when every test failed in the same way", () => {
    const failed: TestResult = { ...FAILED, status: "fail" };
    const results = [failed, { ...failed, id: "a.b" }, SKIPPED];
    const run: Run = {
      ...PASSED,
      revisions: [{ ...PASSED.revisions[0]!, results }],
    };
    const text = formatPretty(run, options);
    assertStringIncludes(text, "1) iommufd_ioas.mock.area [6.12]\n");
    assertStringIncludes(text, "All 2 tests failed in the same way: ");
    assertEquals(text.includes("2) "), false);

    results.push(result("a.c"));
    assertStringIncludes(formatPretty(run, options), "2) a.b [6.12]\n");
  });

  it("says once what was left behind when that is all that went wrong", () => {
    const problems = ["A page is pinned.", "User 0 is charged."];
    const left = result("a.b", {
      status: "fail",
      message: problems.join(" "),
      failure: { calls: 1, lastCall: { call: "close(3) = 0" }, problems },
    });
    const run: Run = {
      ...PASSED,
      revisions: [{ ...PASSED.revisions[0]!, results: [left] }],
    };
    assertStringIncludes(
      formatPretty(run, options),
      `1) a.b [6.12]
   A page is pinned. User 0 is charged.
   call 1    close(3) = 0
   rerun     run a.b
`,
    );
    assertStringIncludes(
      formatKtap(run),
      `# a.b: A page is pinned. User 0 is charged.
# a.b: close(3) = 0
not ok 1 a.b
`,
    );
  });

  it("differs in colours only", () => {
    const colored = formatPretty(MIXED, { ...options, color: true });
    assertEquals(stripAnsiCode(colored), formatPretty(MIXED, options));
  });
});
