// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { result } from "../reports/testing/sample_run.ts";
import { worst } from "../reports/results.ts";
import { mergeRuns, scheduleTests, shardOf } from "./schedule.ts";

const NUMBERS = Array.from({ length: 20 }, (_, index) => index);

describe("shardOf()", () => {
  it("gives each test to one shard, in order", () => {
    const shards = [1, 2, 3].map((index) =>
      shardOf(NUMBERS, { index, count: 3 })
    );
    assertEquals(shards[0], [0, 3, 6, 9, 12, 15, 18]);
    assertEquals(shards.flat().sort((a, b) => a - b), NUMBERS);
  });
});

describe("scheduleTests()", () => {
  it("is the suite's order without a seed, as often as is asked", () => {
    assertEquals(scheduleTests([1, 2], { repeat: 2 }), [1, 2, 1, 2]);
  });

  it("is the same for the same seed, and another for another", () => {
    const once = scheduleTests(NUMBERS, { repeat: 1, seed: 7 });
    assertEquals(scheduleTests(NUMBERS, { repeat: 1, seed: 7 }), once);
    assertNotEquals(scheduleTests(NUMBERS, { repeat: 1, seed: 8 }), once);
    assertEquals([...once].sort((a, b) => a - b), NUMBERS);
  });

  it("orders each round anew", () => {
    const runs = scheduleTests(NUMBERS, { repeat: 2, seed: 7 });
    assertNotEquals(runs.slice(0, 20), runs.slice(20));
    assertEquals(runs.slice(20).sort((a, b) => a - b), NUMBERS);
  });
});

describe("mergeRuns()", () => {
  const failed = result("a.1", { status: "fail", message: "first" });

  it("leaves tests alone that ran once, in the order of the suite", () => {
    const results = [result("a.2"), failed];
    assertEquals(mergeRuns(results, ["a.1", "a.2"]), [failed, results[0]!]);
  });

  it("takes the first of the worst, and counts", () => {
    const again = result("a.1", { status: "fail", message: "second" });
    const [merged] = mergeRuns([result("a.1"), failed, again], ["a.1"]);
    assertEquals(merged, {
      ...failed,
      durationMs: 3.75,
      runs: { pass: 1, fail: 2 },
    });
  });

  it("goes on counting what was merged before", () => {
    const ids = ["a.1"];
    const before = mergeRuns([result("a.1"), result("a.1")], ids);
    assertEquals(mergeRuns([...before, failed], ids)[0]!.runs, {
      pass: 2,
      fail: 1,
    });
  });

  it("does not count runs that a test did not come to", () => {
    const notRun = result("a.1", { status: "notrun" });
    const [merged] = mergeRuns([result("a.1"), notRun], ["a.1"]);
    assertEquals(merged, result("a.1"));
    assertEquals(mergeRuns([notRun, notRun], ["a.1"]), [notRun]);
  });

  it("puts probes first", () => {
    const probe = result("probe.fork", { status: "fail" });
    assertEquals(
      mergeRuns([result("a.1"), probe], ["a.1"]).map(({ id }) => id),
      ["probe.fork", "a.1"],
    );
  });
});

describe("worst()", () => {
  it("is never a pass of nothing", () => {
    assertEquals(worst([]), "notrun");
  });

  it("does not let a pass hide anything but a skip", () => {
    assertEquals(worst(["skip", "pass"]), "pass");
    assertEquals(worst(["pass", "xfail"]), "xfail");
    assertEquals(worst(["pass", "notrun"]), "notrun");
    assertEquals(worst(["fail", "notrun", "xpass"]), "fail");
    assertEquals(worst(["fail", "error", "crash", "timeout"]), "error");
  });
});
