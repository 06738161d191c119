// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs as reports get them, made up so that every way to end is in them.
 *
 * @module
 */

import type { Column, Run, Status, TestResult } from "../results.ts";
import { sumUp } from "../cases.ts";
import type { Commands } from "../failure_facts.ts";

/** A result; what is not said is that of a kernel test that passed. */
export function result(
  id: string,
  more: Partial<TestResult> = {},
): TestResult {
  const parts = id.split(".");
  return {
    id,
    fixture: parts[0]!,
    variant: parts.length > 2 ? parts[1] : undefined,
    program: "iommufd",
    uapi: "6.12",
    description: `Checks ${parts.at(-1)}`,
    reference: `iommufd.c: ${id}`,
    rules: [],
    status: "pass",
    durationMs: 1.25,
    ...more,
  };
}

/** A target in a revision. */
export function column(
  results: readonly TestResult[],
  more: Partial<Column> = {},
): Column {
  return {
    spec: "impl:",
    uapi: "6.12",
    target: "model",
    targetVersion: "1.0.0",
    results,
    ...more,
  };
}

/** A run without settings. */
export function runOf(
  columns: readonly Column[],
  more: Partial<Run> = {},
): Run {
  return {
    suite: { name: "suite", version: "9.8.7", hash: "0123456789ab" },
    settings: {},
    origin: {
      started: "2026-11-28T09:30:00.000Z",
      command: "run --target impl: --filter '*'",
      machine: {
        os: "linux",
        arch: "x86_64",
        release: "7.3.4",
        processors: 2,
        deno: "2.9.6",
      },
    },
    durationMs: 61_500,
    columns,
    problems: [],
    ...more,
  };
}

/** A test of this kit with cases by name; those that are not told more of passed. */
function withCases(
  id: string,
  names: readonly string[],
  failed: readonly TestResult[] = [],
): TestResult {
  const test = result(id, { program: undefined });
  const cases = names.map((name): TestResult => ({
    ...test,
    id: `${id}/${name}`,
    description: `${test.description}: ${name}`,
  }));
  return sumUp(test, [...cases, ...failed]);
}

/** Commands that are easy to find. */
export const COMMANDS: Commands = {
  rerun: (spec, { id, uapi }) => `rerun ${spec} ${uapi} ${id}`,
  replay: (path) => `replay ${path}`,
};

/** Tests of both of the kernel's programs and of the kit, all of which passed. */
export const PASSED: Run = runOf([
  column([
    result("iommufd.simple_close"),
    result("iommufd.cmd_fail"),
    result("iommufd_ioas.mock.area"),
    result("basic_fail_nth.basic", { program: "iommufd_fail_nth" }),
    result("kit_map.no_domain.twice", { program: undefined }),
    withCases("kit_map.no_domain.errno", ["length_0", "an_iova_of_1"]),
  ]),
]);

/** An assertion that did not hold, with everything that can be told about it. */
export const FAILED: TestResult = result("iommufd_ioas.mock.area", {
  status: "fail",
  message: "IOMMU_IOAS_MAP: expected EINVAL, got success (0)",
  failure: {
    assertion: "IOMMU_IOAS_MAP",
    expected: "EINVAL",
    actual: "success (0)",
    calls: 17,
    lastCall: { call: "munmap(0x10000, 0x1000) = 0", request: 19 },
    lastIoctl: {
      call: "ioctl(3, IOMMU_IOAS_MAP) = 0",
      struct: { name: "iommu_ioas_map", fields: { size: "40", iova: "0x0" } },
      gave: { iova: "0x1000" },
      request: 18,
    },
    before: [
      { call: "close(4) = 0", request: 17 },
      {
        call: "ioctl(3, IOMMU_IOAS_MAP) = 0",
        struct: { name: "iommu_ioas_map", fields: { size: "40", iova: "0x0" } },
        gave: { iova: "0x1000" },
        request: 18,
      },
    ],
    problems: ["2 frames are still pinned."],
    stderr: "warning: <odd> & 100%\nand more\n",
  },
  runs: { pass: 2, fail: 1 },
  transcript: {
    text: "# test iommufd_ioas.mock.area\n> 1 0 hello 1\n",
    path: "calls/impl/area.txt",
  },
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

/** A test that ended in a way that needs a message and nothing else. */
function ended(id: string, status: Status, message: string): TestResult {
  return result(id, {
    program: undefined,
    status,
    durationMs: 0,
    message,
    failure: { calls: 0, problems: [] },
  });
}

/** A test that was skipped. */
export const SKIPPED: TestResult = result("iommufd_ioas.mock.hwpt", {
  status: "skip",
  durationMs: 0,
  reason: "needs hwpt",
  message: "The target model does not offer hwpt",
});

/** Two targets of which one does everything wrong. */
export const MIXED: Run = runOf([
  column([
    result("iommufd.simple_close"),
    result("iommufd.cmd_fail"),
    result("iommufd_ioas.mock.area"),
    result("iommufd_ioas.mock.hwpt"),
    result("kit_ioas.hang", { program: undefined }),
    result("kit_ioas.dies", { program: undefined }),
    withCases("kit_ioas.errno", ["length_0", "flag_1", "known"]),
  ], { spec: "impl:6.12" }),
  column([
    result("iommufd.simple_close", { uapi: "6.12" }),
    BROKEN,
    FAILED,
    SKIPPED,
    ended("kit_ioas.hang", "timeout", "No end after 30 seconds"),
    ended("kit_ioas.dies", "crash", "The target ended: it exited # with 3"),
    {
      ...ended("kit_ioas.known", "xfail", "size: expected 1, got 2"),
      expected: {
        actual: "fail",
        reason: "No huge pages | yet",
        link: "https://example.org/1",
      },
    },
    {
      ...ended("kit_ioas.fixed", "xpass", "It passed, and was to fail"),
      expected: {
        actual: "pass",
        reason: "Sizes are rounded",
        link: "https://example.org/2",
      },
    },
    withCases("kit_ioas.errno", ["length_0"], [
      ended("kit_ioas.errno/flag_1", "fail", "MAP: expected EINVAL, got 0"),
      {
        ...ended("kit_ioas.errno/known", "xfail", "MAP: expected 1, got 2"),
        expected: {
          actual: "fail",
          reason: "Not yet",
          link: "https://example.org/3",
        },
      },
    ]),
    {
      ...ended("kit_ioas.late", "notrun", "Stopped after the first failure"),
      reason: "the run ended early",
    },
  ], {
    spec: "stdio:./my_adapter --fast",
    target: "other",
    targetVersion: "2.0",
    stopped: "Stopped after the first failure",
  }),
], {
  settings: { seed: 7, shard: "1/2", repeat: 3 },
  problems: [`known.json, entry 4: "kit_gone" matches no test`],
});
