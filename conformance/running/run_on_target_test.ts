// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { NEWEST } from "../../impl/uapi/revision.ts";
import {
  AssertionFailure,
  type Test,
} from "../../selftests/harness/harness.ts";
import type { RevisionRun } from "../reports/results.ts";
import { runTests, type RunTestsOptions } from "./run_on_target.ts";
import { TargetFailure } from "../../selftests/target/target_failure.ts";
import { TargetStartError } from "../targets/test_target.ts";
import {
  fakeTable,
  FakeTarget,
  type FakeTargetOptions,
  fakeTest,
  passingTest,
} from "../testing/fake_target.ts";

/** A test that the target answers wrongly. */
function failingTest(id: string): Test {
  return fakeTest(id, () => {
    throw new AssertionFailure("one", "2", "1");
  });
}

/** A test in which the target dies. */
function crashingTest(id: string): Test {
  return fakeTest(id, () => {
    throw new TargetFailure("crash", `it died in ${id}`);
  });
}

/** `count` tests made by `make`. */
function several(count: number, make: (id: string) => Test): Test[] {
  return Array.from({ length: count }, (_, index) => make(`s.t${index}`));
}

/** A run, and the targets that it started. */
interface Outcome {
  readonly targets: FakeTarget[];
  readonly run: Promise<RevisionRun>;
}

/** Runs tests on fakes; `behaviour` says what the nth target does, default what is right. */
function start(
  tests: Test[],
  options: Partial<RunTestsOptions> = {},
  behaviour: (start: number) => FakeTargetOptions | Error = () => ({}),
): Outcome {
  const targets: FakeTarget[] = [];
  let starts = 0;
  const run = runTests(NEWEST, tests, {
    open() {
      const how = behaviour(starts++);
      if (how instanceof Error) return Promise.reject(how);
      targets.push(new FakeTarget(how));
      return Promise.resolve(targets.at(-1)!);
    },
    ...options,
  });
  return { targets, run };
}

/** How often each target was closed. */
function closes(targets: readonly FakeTarget[]): number[] {
  return targets.map(({ counts }) => counts.close);
}

/** How the tests of a run ended. */
function statuses({ results }: RevisionRun): string[] {
  return results.map(({ status }) => status);
}

describe("runTests()", () => {
  it("runs the tests in order and closes the target", async () => {
    const seen: string[] = [];
    const { targets, run } = start([passingTest("a.x"), passingTest("a.y")], {
      onTest: ({ id }, done) => seen.push(`${done} ${id}`),
    });
    const { target, targetVersion, results, stopped } = await run;
    assertEquals(seen, ["0 a.x", "1 a.y"]);
    assertEquals(results.map(({ id }) => id), ["a.x", "a.y"]);
    assertEquals([target, targetVersion], ["fake", "1.2.3"]);
    assertEquals(stopped, undefined);
    assertEquals(targets[0]!.counts, { spawn: 2, reset: 2, close: 1 });
  });

  it("keeps the target after a failed assertion", async () => {
    const { targets, run } = start([failingTest("a.x"), passingTest("a.y")]);
    assertEquals(statuses(await run), ["fail", "pass"]);
    assertEquals(targets.length, 1);
  });

  for (const status of ["crash", "timeout", "error"] as const) {
    it(`starts the target again after status ${status} and goes on`, async () => {
      const broken = fakeTest("a.x", () => {
        throw new TargetFailure(status, "it broke");
      });
      const { targets, run } = start([broken, passingTest("a.y")]);
      assertEquals(statuses(await run), [status, "pass"]);
      assertEquals(closes(targets), [1, 1]);
    });
  }

  it("runs the case of a recording as one, and what is recorded once", async () => {
    const fail = () => Promise.reject(new AssertionFailure("one", "2", "1"));
    const one = start([fakeTable("a.t", { one: fail })], { recording: true });
    const { results } = await one.run;
    assertEquals(results[0]!.cases?.map(({ id }) => id), ["a.t/one"]);
    assertEquals(one.targets[0]!.counts.spawn, 1);
    const both = start([fakeTable("a.t", { one: fail, two: fail })], {
      recording: true,
    });
    assertEquals(statuses(await both.run), ["fail"]);
    assertEquals(both.targets[0]!.counts.spawn, 1);
  });

  it("does not start the target again when no test is left", async () => {
    const { targets, run } = start([passingTest("a.x"), crashingTest("a.y")]);
    assertEquals(statuses(await run), ["pass", "crash"]);
    assertEquals(targets.length, 1);
  });

  it("rejects when the target does not start", async () => {
    const { run } = start(
      [passingTest("a.x")],
      {},
      () => new Error("not there"),
    );
    assertEquals((await assertRejects(() => run, Error)).message, "not there");
  });
});

describe("runTests() with a target that breaks for good", () => {
  it("says so in a sentence when no test came to a verdict", async () => {
    const { targets, run } = start(
      [crashingTest("a.x"), passingTest("a.y")],
      {},
      (start) => start === 0 ? {} : { spawnError: new Error("no memory") },
    );
    const { message } = await assertRejects(() => run, TargetStartError);
    assertEquals(
      message,
      "The target was started again 3 times and did not work: no memory",
    );
    assertEquals(closes(targets), [1, 1, 1, 1]);
  });

  it("tells what ran, and what did not, when a test came to a verdict before", async () => {
    const tests = [
      passingTest("a.x"),
      crashingTest("a.y"),
      passingTest("a.z"),
      passingTest("b.z"),
    ];
    const { run } = start(
      tests,
      {},
      (start) => start === 0 ? {} : new Error("gone"),
    );
    const result = await run;
    assertEquals(statuses(result), ["pass", "crash", "notrun", "notrun"]);
    const stopped = "The target was started again 3 times and did not work: " +
      "gone";
    assertEquals(result.stopped, stopped);
    assertEquals(result.results[2]!.message, stopped);
    assertEquals(result.results[2]!.reason, "no working target");
  });

  it("goes on when a second start helps", async () => {
    const { run } = start(
      [crashingTest("a.x"), passingTest("a.y")],
      {},
      (start) => start === 1 ? { resetError: new Error("not yet") } : {},
    );
    assertEquals(statuses(await run), ["crash", "pass"]);
  });

  it("gives up when the first five tests all break it, although it starts", async () => {
    const { targets, run } = start(several(9, crashingTest));
    const { message } = await assertRejects(() => run, TargetStartError);
    assertStringIncludes(message, "the target broke 5 times");
    assertStringIncludes(message, "it died in s.t4");
    assertEquals(targets.length, 5);
  });

  it("gives up at some point also after a verdict", async () => {
    const tests = [passingTest("a.x"), ...several(60, crashingTest)];
    const { run } = start(tests);
    const result = await run;
    assertEquals(result.results.length, 61);
    assertEquals(
      statuses(result).filter((status) => status === "crash").length,
      50,
    );
    assertEquals(statuses(result).at(-1), "notrun");
    assertStringIncludes(result.stopped!, "The target broke 50 times");
  });

  it("goes on with fewer breaks than that", async () => {
    const tests = [passingTest("a.x"), ...several(49, crashingTest)];
    assertEquals((await start(tests).run).stopped, undefined);
  });
});

describe("runTests() with --isolate", () => {
  const tests = ["a.v.x", "a.v.y", "a.w.x", "b.x"].map((id) => passingTest(id));

  for (
    const [isolate, started] of [["run", 1], ["fixture", 3], [
      "test",
      4,
    ]] as const
  ) {
    it(`${isolate} starts ${started} targets for four tests of two fixtures`, async () => {
      const { targets, run } = start(tests, { isolate });
      assertEquals(statuses(await run), ["pass", "pass", "pass", "pass"]);
      assertEquals(targets.length, started);
      assertEquals(closes(targets), targets.map(() => 1));
    });
  }
});

describe("runTests() with --jobs", () => {
  it("runs tests at the same time, and tells results in the order of the tests", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const tests = [
      fakeTest("a.waits", () => promise),
      fakeTest("a.wakes", () => Promise.resolve(resolve())),
      ...several(5, passingTest),
    ];
    const { targets, run } = start(tests, { jobs: 2 });
    const { results } = await run;
    assertEquals(results.map(({ id }) => id), tests.map(({ id }) => id));
    assertEquals(results.every(({ status }) => status === "pass"), true);
    assertEquals(closes(targets), [1, 1]);
  });

  it("keeps the tests of a fixture together where they are isolated", async () => {
    const tests = ["a.x", "a.y", "b.x", "b.y"].map((id) => passingTest(id));
    const { targets, run } = start(tests, { jobs: 2, isolate: "fixture" });
    await run;
    assertEquals(targets.map(({ counts }) => counts.spawn), [2, 2]);
  });

  it("does not start more targets than there is work for", async () => {
    const { targets, run } = start([passingTest("a.x")], { jobs: 8 });
    await run;
    assertEquals(targets.length, 1);
  });

  it("ends all targets when it gives up", async () => {
    const { targets, run } = start(several(20, crashingTest), { jobs: 3 });
    await assertRejects(() => run, TargetStartError);
    assertEquals(closes(targets), targets.map(() => 1));
  });
});

describe("runTests() with capabilities", () => {
  const needy = passingTest("a.needy", { needs: ["setrlimit"] });

  it("tells a capability that does not work as a failure, and skips who needs it", async () => {
    // The fake accepts any limit, of no resource too.
    const { run } = start(
      [needy, passingTest("a.x")],
      {},
      () => ({ capabilities: ["setrlimit"] }),
    );
    const { results } = await run;
    assertEquals(
      results.map(({ id, status }) => `${id} ${status}`),
      ["probe.setrlimit fail", "a.needy skip", "a.x pass"],
    );
    assertStringIncludes(results[0]!.message!, "setrlimit of no resource");
    assertEquals(results[1]!.reason, "needs setrlimit, which failed its probe");
  });

  it("does not probe what no selected test needs", async () => {
    const { run } = start(
      [passingTest("a.x")],
      {},
      () => ({ capabilities: ["setrlimit"] }),
    );
    assertEquals(statuses(await run), ["pass"]);
  });

  it("skips without a failure what the target does not name", async () => {
    const { run } = start([needy]);
    const { results } = await run;
    assertEquals(results[0]!.reason, "needs setrlimit");
  });
});
