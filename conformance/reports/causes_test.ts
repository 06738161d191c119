// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { causesOf } from "./causes.ts";
import type { Failure } from "./results.ts";
import { column, result, runOf } from "./testing/sample_run.ts";

const ENOTTY: Failure = {
  assertion: "IOMMU_IOAS_MAP",
  expected: "success",
  actual: "ENOTTY",
  calls: 3,
  lastCall: {
    call: "ioctl(3, IOMMU_IOAS_MAP) = ENOTTY",
    struct: { name: "iommu_ioas_map", fields: { size: "40", iova: "0x0" } },
  },
  problems: [],
};

/** A failed test. */
function failed(id: string, more: Partial<Failure> = {}) {
  const failure = { ...ENOTTY, ...more };
  return result(id, { status: "fail", message: `${id} failed`, failure });
}

/** The names of the failures of each cause. */
function namesOf(...results: readonly ReturnType<typeof result>[]) {
  return causesOf(runOf([column(results)]))
    .map(({ first, others }) => [first, ...others].map((f) => f.result.id));
}

describe("causesOf()", () => {
  it("puts the same call with the same end together, whatever the descriptor and the values", () => {
    const other = failed("a.c", {
      calls: 9,
      lastCall: {
        call: "ioctl(7, IOMMU_IOAS_MAP) = ENOTTY",
        struct: { name: "iommu_ioas_map", fields: { size: "40", iova: "0x9" } },
      },
    });
    assertEquals(
      namesOf(failed("a.a"), result("a.b"), other),
      [["a.a", "a.c"]],
    );
  });

  it("keeps apart what ended otherwise, was expected otherwise, or had a struct of another size", () => {
    const { lastCall } = ENOTTY;
    const struct = { name: "iommu_ioas_map", fields: { size: "44" } };
    assertEquals(
      namesOf(
        failed("a.a"),
        failed("a.b", { actual: "EINVAL" }),
        failed("a.c", { expected: "EPERM" }),
        failed("a.d", { lastCall: { ...lastCall!, struct } }),
      ),
      [["a.a"], ["a.b"], ["a.c"], ["a.d"]],
    );
  });

  it("goes by the ioctl where the last call was another", () => {
    const lastIoctl = { call: "ioctl(3, IOMMU_DESTROY) = 0" };
    assertEquals(
      namesOf(failed("a.a", { lastIoctl }), failed("a.b")),
      [["a.a"], ["a.b"]],
    );
  });

  it("goes by the message where no assertion failed", () => {
    const crash = (id: string, message: string) =>
      result(id, { status: "crash", message });
    assertEquals(
      namesOf(
        crash("a.a", "SIGSEGV"),
        crash("a.b", "x"),
        crash("a.c", "SIGSEGV"),
      ),
      [["a.a", "a.c"], ["a.b"]],
    );
  });
});
