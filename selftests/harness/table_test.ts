// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  NEWEST,
  REVISION_NAMES,
  type RevisionName,
} from "../../impl/uapi/revision.ts";
import { implTarget } from "../target/impl_target.ts";
import { TargetProcess } from "../target/target.ts";
import {
  type Fixture,
  fixture,
  type FixtureOptions,
  type Test,
} from "./harness.ts";
import { narrow, splitId, verdictIds } from "./table.ts";

/** What ran, in order. */
type Log = string[];

/** The tests that `add` adds to a fixture that logs its set-up and teardown. */
function register(add: (f: Fixture<string, Log>) => void): Test[] {
  const tests: Test[] = [];
  const options: FixtureOptions<string, Log> = {
    variants: { one: "1" },
    upstream: false,
    setup: () => Promise.resolve(LOG),
    teardown: (log) => Promise.resolve(void log.push("teardown")),
  };
  add(fixture(tests, "f", options));
  return tests;
}

const LOG: Log = [];

/** Runs a test on a revision; returns what ran. */
async function logOf(test: Test, uapi: RevisionName = NEWEST): Promise<Log> {
  LOG.length = 0;
  const target = await implTarget(uapi);
  const begin = (id: string) => void LOG.push(`begin ${id}`);
  const process = await TargetProcess.spawn(target);
  await test.run(process, target.info, { note: () => {}, begin });
  return [...LOG];
}

/** A table of three cases, of which one is that of a later revision. */
function sample(): Test {
  const [test] = register((f) =>
    f.table("t", {
      description: "Checks a table",
      rules: [],
      prepare: (log) => Promise.resolve({ log, prepared: log.push("prepare") }),
      finish: ({ log }) => Promise.resolve(void log.push("finish")),
    }, (t, variant, revision) => {
      t.case("Length 0", async ({ log }) => {
        await Promise.resolve();
        log.push(`first of ${variant}`);
      });
      if (revision.name !== "v3") {
        t.case("a HWPT", ({ log }) => Promise.resolve(void log.push("second")));
      }
      t.case("2^64-1", ({ log }) => Promise.resolve(void log.push("third")));
    })
  );
  return test!;
}

describe("a test with a table", () => {
  it("has a case for each row, named by its words", () => {
    const { table, id, uapi } = sample();
    assertEquals(id, "f.one.t");
    assertEquals(table!.cases.map(({ id }) => id), [
      "f.one.t/length_0",
      "f.one.t/a_hwpt",
      "f.one.t/2_64_1",
    ]);
    assertEquals(table!.cases[0]!.description, "Checks a table: Length 0");
    assertEquals(table!.cases.map(({ uapi }) => uapi), [
      uapi,
      REVISION_NAMES.filter((name) => name !== "v3"),
      uapi,
    ]);
  });

  it("runs all cases in one set-up", async () => {
    const [, , third] = await logOf(sample());
    assertEquals(third, "first of 1");
    assertEquals(await logOf(sample()), [
      "prepare",
      "begin f.one.t/length_0",
      "first of 1",
      "begin f.one.t/a_hwpt",
      "second",
      "begin f.one.t/2_64_1",
      "third",
      "finish",
      "teardown",
    ]);
  });

  it("runs a case by itself", async () => {
    assertEquals(await logOf(sample().table!.cases[1]!), [
      "prepare",
      "begin f.one.t/a_hwpt",
      "second",
      "finish",
      "teardown",
    ]);
  });

  it("runs the cases that are left of it", async () => {
    const old = narrow(sample(), ({ uapi }) => uapi.includes("v3"))!;
    assertEquals(verdictIds([old]), ["f.one.t/length_0", "f.one.t/2_64_1"]);
    const log = await logOf(old, "v3");
    assertEquals(log.filter((line) => /^[a-z]+( of 1)?$/.test(line)), [
      "prepare",
      "first of 1",
      "third",
      "finish",
      "teardown",
    ]);
    const last = narrow(old, ({ id }) => id.endsWith("2_64_1"))!;
    assertEquals(verdictIds([last]), ["f.one.t/2_64_1"]);
    assertEquals((await logOf(last, "v3")).includes("first of 1"), false);
  });

  it("is the same if all is left of it, and none if nothing is", () => {
    const test = sample();
    assertEquals(narrow(test, () => true) === test, true);
    assertEquals(narrow(test, () => false), undefined);
  });

  it("ends with the first case that fails", async () => {
    const [test] = register((f) =>
      f.table("t", { description: "Fails", rules: [] }, (t) => {
        t.case("good", (log) => Promise.resolve(void log.push("good")));
        t.case("bad", () => Promise.reject(new Error("bad")));
        t.case("late", (log) => Promise.resolve(void log.push("late")));
      })
    );
    await assertRejects(() => logOf(test!), Error, "bad");
    assertEquals(LOG.filter((line) => !line.startsWith("begin")), ["good"]);
  });

  for (const names of [["a b", "A-B"], ["***"]]) {
    it(`refuses cases called ${names.join(" and ")}`, () => {
      assertThrows(
        () =>
          register((f) =>
            f.table("t", { description: "Refused", rules: [] }, (t) => {
              for (const name of names) t.case(name, () => Promise.resolve());
            })
          ),
        Error,
        "a case needs a name of its own",
      );
    });
  }
});

describe("splitId()", () => {
  it("tells the test from the case", () => {
    assertEquals(splitId("f.one.t/length_0"), ["f.one.t", "length_0"]);
    assertEquals(splitId("f.one.t"), ["f.one.t"]);
  });
});
