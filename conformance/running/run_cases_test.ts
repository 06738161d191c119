// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { KernelBug } from "../../impl/kernel/warn.ts";
import {
  assertEq,
  type TargetProcess,
  type Test,
} from "../../selftests/harness/harness.ts";
import type { TestResult } from "../reports/results.ts";
import { fakeTable, FakeTarget, passingTest } from "../testing/fake_target.ts";
import { runCases } from "./run_cases.ts";
import { aboutTest, runTest } from "./run_one.ts";

/** A body that passes. */
function good(): Promise<void> {
  return Promise.resolve();
}

/** A body that does not. */
function bad(): Promise<void> {
  return Promise.resolve().then(() => assertEq(2, 1, "the number"));
}

/** A body that breaks the target. */
function broken(): Promise<void> {
  return Promise.reject(new KernelBug("gone"));
}

/** Runs a test; returns the result, and the ids of what ran. */
async function run(
  test: Test,
  target = new FakeTarget(),
): Promise<{ result: TestResult; ran: string[] }> {
  const ran: string[] = [];
  const result = await runCases(test, async (each, notRun) => {
    if (notRun !== undefined) {
      const about = aboutTest(each, target.info);
      return { ...about, status: "notrun", durationMs: 0, reason: notRun };
    }
    ran.push(each.id);
    return await runTest(each, target);
  });
  return { result, ran };
}

/** Names and statuses of the cases of a result. */
function casesOf({ cases }: TestResult): string[] | undefined {
  return cases?.map(({ id, status }) => `${id.split("/")[1]} ${status}`);
}

describe("runCases()", () => {
  it("runs a test without cases once", async () => {
    const { result, ran } = await run(passingTest("a.b"));
    assertEquals([result.status, casesOf(result)], ["pass", undefined]);
    assertEquals(ran, ["a.b"]);
  });

  it("runs cases that pass together, once", async () => {
    const { result, ran } = await run(fakeTable("a.b", { x: good, y: good }));
    assertEquals(result.status, "pass");
    assertEquals(casesOf(result), ["x pass", "y pass"]);
    assertEquals(ran, ["a.b"]);
  });

  it("gives every case a verdict of its own when one fails", async () => {
    const test = fakeTable("a.b", { x: good, y: bad, z: good });
    const { result, ran } = await run(test);
    assertEquals([result.id, result.status], ["a.b", "fail"]);
    assertEquals(result.message, "3 cases: 1 failed");
    assertEquals(result.failure, undefined);
    assertEquals(casesOf(result), ["x pass", "y fail", "z pass"]);
    assertEquals(ran, ["a.b", "a.b/x", "a.b/y", "a.b/z"]);
    const failed = result.cases![1]!;
    assertEquals(failed.message, "the number: expected 1, got 2");
    assertEquals(failed.description, "Checks a.b: y");
    assertEquals(failed.transcript!.text.includes("# test a.b/y"), true);
  });

  it("finds the case that leaves something behind", async () => {
    const target = new FakeTarget();
    let pinned = 0;
    target.reset = () => Promise.resolve(pinned-- > 0 ? ["A pinned page"] : []);
    const pins = () => Promise.resolve(void (pinned = 1));
    const { result } = await run(
      fakeTable("a.b", { x: good, y: pins, z: good }),
      target,
    );
    assertEquals(casesOf(result), ["x pass", "y fail", "z pass"]);
    assertEquals(result.cases![1]!.message, "A pinned page");
  });

  it("fails a test whose cases pass by themselves only", async () => {
    const marked = new WeakSet<TargetProcess>();
    const once = (process: TargetProcess) =>
      Promise.resolve(void marked.add(process));
    const again = (process: TargetProcess) =>
      marked.has(process) ? broken() : good();
    const { result } = await run(fakeTable("a.b", { x: once, y: again }));
    assertEquals(result.status, "error");
    assertEquals(casesOf(result), ["x pass", "y pass"]);
    assertEquals(
      result.message,
      "Each case passes by itself, but not all of them do together: KernelBug: gone",
    );
    assertEquals(result.failure !== undefined, true);
  });

  it("runs a single case once", async () => {
    const test = fakeTable("a.b", { x: bad, y: good });
    const { cases, select } = test.table!;
    const { result, ran } = await run(select(cases.slice(0, 1)));
    assertEquals([result.id, result.status], ["a.b", "fail"]);
    assertEquals(casesOf(result), ["x fail"]);
    assertEquals(ran, ["a.b/x"]);
  });

  it("skips a test as a whole", async () => {
    const test = fakeTable("a.b", { x: good, y: good });
    for (const cases of [test.table!.cases, test.table!.cases.slice(1)]) {
      const needs = cases.map((each) => ({
        ...each,
        needs: ["fork"] as const,
      }));
      const table = { ...test.table!, cases: needs };
      const { result } = await run({ ...test, needs: ["fork"], table });
      assertEquals([result.id, result.status], ["a.b", "skip"]);
      assertEquals([result.reason, casesOf(result)], ["needs fork", undefined]);
    }
  });

  it("does not break the target again and again", async () => {
    const names = ["a", "b", "c", "d", "e"].map((name) => [name, broken]);
    const { result, ran } = await run(
      fakeTable("a.b", { first: good, ...Object.fromEntries(names) }),
    );
    assertEquals(casesOf(result), [
      "first pass",
      "a error",
      "b error",
      "c error",
      "d notrun",
      "e notrun",
    ]);
    assertEquals(ran.length, 5);
    assertEquals(
      result.cases!.at(-1)!.reason,
      "3 other cases of the test broke the target",
    );
  });
});
