// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { assertEq, type Test } from "../../selftests/harness/harness.ts";
import type { JsonReport } from "../reports/formats/json.ts";
import { fakeTest, passingTest } from "../testing/fake_target.ts";
import { type CommandOutcome, runOnFakes } from "../testing/run_command.ts";

/** Tests of which one fails. */
const TESTS: readonly Test[] = [
  ...["a.x", "a.y", "b.mock.x", "b.mock.y", "b.other.x", "c.x"]
    .map((id) => passingTest(id)),
  fakeTest("c.y", async (process) => {
    assertEq(await process.close(99), 7, "close");
  }),
];

const RUN = ["--uapi", "6.12"];

/** Runs a shard; the text of its report. */
async function shard(
  part: string,
  ...args: readonly string[]
): Promise<string> {
  const format = args.includes("bundle") ? [] : ["--report", "json"];
  const { out } = await runOnFakes(
    [...RUN, "--shard", part, ...format, ...args],
    TESTS,
  );
  return out;
}

/** Merges texts, each as a file `N.json`. */
function merge(
  texts: readonly string[],
  ...args: readonly string[]
): Promise<CommandOutcome> {
  const files = Object.fromEntries(texts.map((text, i) => [`${i}.json`, text]));
  return runOnFakes(["merge", ...Object.keys(files), ...args], [], { files });
}

/** A report without what differs from run to run. */
function withoutTime(text: string): unknown {
  return JSON.parse(
    text,
    (name, value) =>
      ["durationMs", "origin", "shard", "transcript"].includes(name)
        ? undefined
        : value,
  );
}

const SHARDS = ["1/3", "2/3", "3/3"];

describe("merge", () => {
  it("makes the report of the whole run, in the order of the suite, whatever the order of the files", async () => {
    const whole = await runOnFakes([...RUN, "--report", "json"], TESTS);
    const texts = await Promise.all(SHARDS.map((part) => shard(part)));
    for (const order of [texts, texts.toReversed()]) {
      const { code, out, err } = await merge(order, "--report", "json");
      assertEquals([code, err], [1, ""]);
      assertEquals(withoutTime(out), withoutTime(whole.out));
    }
    const { out } = await merge(texts, "--report", "json");
    const { origin, settings } = JSON.parse(out) as JsonReport;
    assertEquals(
      origin.command,
      "deno task conformance merge 0.json 1.json 2.json --report json",
    );
    assertEquals(settings, {});
  });

  it("exits with 0 where all passed, and writes any report", async () => {
    const pass = ["--filter", "a", "--filter", "b"];
    const texts = await Promise.all(
      SHARDS.map((part) => shard(part, ...pass)),
    );
    const { code, out, files } = await merge(
      texts,
      ...["--report", "pretty", "--report", "html:all.html"],
      ...["--report", "jsonl:all.jsonl"],
    );
    assertEquals(code, 0);
    assertStringIncludes(out, "5 of 5");
    assertStringIncludes(files["all.html"]!, "Passed");
    assertEquals(files["all.jsonl"]!.trimEnd().split("\n").length, 8);
  });

  it("takes bundles, and keeps the calls of their failures", async () => {
    const texts = await Promise.all(
      SHARDS.map((part) => shard(part, "--report", "bundle")),
    );
    const { out } = await merge(texts, "--report", "bundle");
    const { transcripts } = JSON.parse(out);
    assertEquals(transcripts.length, 1);
    assertEquals(transcripts[0].whole, true);
    assertStringIncludes(transcripts[0].text, "close 99");
  });

  it("says which shard is missing, and fails", async () => {
    const pass = ["--filter", "a"];
    const text = await shard("1/2", ...pass);
    const { code, out } = await merge([text]);
    assertEquals(code, 1);
    assertStringIncludes(out, "shard 2/2 is missing with its tests");
  });

  it("says which shard is there twice, and counts its tests once", async () => {
    const text = await shard("1/2", "--filter", "a");
    const other = await shard("2/2", "--filter", "a");
    const { code, out } = await merge([text, other, text]);
    assertEquals(code, 1);
    assertStringIncludes(out, "shard 1/2 is there 2 times: 0.json, 2.json");
    assertStringIncludes(out, "2 of 2");
  });

  it("says which tests are in several shards", async () => {
    const text = await shard("1/2", "--filter", "a");
    const copy = text.replace('"1/2"', '"2/2"');
    const { code, out } = await merge([text, copy]);
    assertEquals(code, 1);
    assertStringIncludes(out, "impl: 6.12 a.x is in several shards");
  });

  for (
    const [what, change, why] of [
      ["another suite", [/"hash": "\w+"/, '"hash": "0"'], "different suites"],
      ["another number of shards", ["2/2", "2/3"], "numbers of shards"],
      ["another target", ['"impl:"', '"other:"'], "different targets"],
      ["another revision", [/"uapi": "6.12"/g, '"uapi": "7.3"'], "revisions"],
      ["another implementation", ['"name": "fake"', '"name": "b"'], "implem"],
      [
        "another selection",
        [/"filters": \[[^\]]*\]/, '"filters": []'],
        "tests",
      ],
      ["no shard", ['"shard": "2/2"', '"repeat": 1'], "of no shard"],
    ] as const
  ) {
    it(`refuses a report of ${what}`, async () => {
      const text = await shard("1/2", "--filter", "a");
      const other = (await shard("2/2", "--filter", "a")).replace(
        change[0],
        change[1],
      );
      const { code, err } = await merge([text, other]);
      assertEquals(code, 2, err);
      assertStringIncludes(err, why);
    });
  }

  for (
    const [args, why] of [
      [[], "merge needs reports"],
      [["none.json"], 'Cannot read the report "none.json": no such file'],
      [["0.json", "--report", "coverage"], "Reports do not have what"],
      [["0.json", "--filter"], 'Unknown option "--filter" of merge'],
    ] as const
  ) {
    it(`refuses [${args}]`, async () => {
      const files = { "0.json": "{}" };
      const { code, err } = await runOnFakes(["merge", ...args], [], { files });
      assertEquals(code, 2);
      assertStringIncludes(err, why);
    });
  }

  it("refuses what is no report", async () => {
    for (const text of ["{}", "[", "null", "7"]) {
      const { code, err } = await merge([text]);
      assertEquals(code, 2);
      assertStringIncludes(err, 'Cannot read the report "0.json"');
    }
  });

  it("prints its help", async () => {
    const { code, out } = await runOnFakes(["merge", "--help"], []);
    assertEquals(code, 0);
    assertStringIncludes(out, "Usage: deno task conformance merge FILE…");
  });
});
