// SPDX-License-Identifier: GPL-2.0-only

import { REVISION_NAMES } from "../../impl/uapi/revision.ts";
import {
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EINVAL } from "../../impl/uapi/errno.ts";
import { IOMMU_DESTROY, IommuDestroy } from "../../impl/uapi/iommufd.ts";
import { assertEq, type Test } from "../../selftests/harness/harness.ts";
import { RULES } from "../../selftests/rules/rules.ts";
import type { JsonReport } from "../reports/formats/json.ts";
import type { JsonlLine } from "../reports/formats/jsonl.ts";
import { fakeTest, passingTest } from "../testing/fake_target.ts";
import {
  type CommandFakes,
  type CommandOutcome,
  runOnFakes,
} from "../testing/run_command.ts";

const passing = passingTest("a.x");

/** Passes where an ioctl returns 0. */
const picky = fakeTest("b.mock.picky", async (process) => {
  const fd = await process.open("/dev/iommu");
  const arg = IommuDestroy.encode({ id: 1 });
  assertEq(await process.ioctl(fd, IOMMU_DESTROY, arg), 0, "DESTROY");
});

/** A target on which {@link picky} fails. */
const EINVAL_TARGET = { ioctlResult: -EINVAL.code };

function run(
  args: string,
  tests: readonly Test[] = [passing, picky],
  fakes: CommandFakes = {},
): Promise<CommandOutcome> {
  return runOnFakes(["--uapi", "6.12", ...args.split(" ")], tests, fakes);
}

/** The statuses in the report of one target. */
function statuses(out: string): Record<string, string> {
  const { targets } = JSON.parse(out) as JsonReport;
  return Object.fromEntries(
    targets[0]!.tests.map(({ id, status }) => [id, status]),
  );
}

describe("several targets", () => {
  it("are columns of one report that says in what they differ", async () => {
    const { code, out } = await run("--target good: --target bad:", undefined, {
      targets: { "bad:": EINVAL_TARGET },
    });
    assertEquals(code, 1);
    assertStringIncludes(
      out,
      `
          good: 6.12  bad: 6.12
  a       ok 1        ok 1           0 ms
`.replace(/\d+ ms\n/, ""),
    );
    assertStringIncludes(
      out,
      "Differences between targets\n  b.mock.picky: good: 6.12 pass, bad: 6.12 fail\n",
    );
    assertStringIncludes(
      out,
      "rerun     deno task conformance --target bad: --uapi 6.12 --filter b.mock.picky\n",
    );
  });

  it("go on without one that does not start, which makes the exit code 3", async () => {
    const { code, out, err } = await run(
      "--target broken: --target good: --report json",
      undefined,
      { targets: { "broken:": { startError: new Error("not there") } } },
    );
    assertEquals(code, 3);
    assertEquals(err, `Cannot start target "broken:": not there\n`);
    const { targets, good } = JSON.parse(out) as JsonReport;
    assertEquals(good, false);
    assertEquals(targets[0]!.summary.notrun, 2);
    assertEquals(targets[0]!.stopped, err.trimEnd());
    assertEquals(targets[1]!.summary.pass, 2);
  });
});

describe("several targets of which one cannot be asked for its revision", () => {
  const fakes: CommandFakes = {
    targets: { "broken:": { askError: new Error("not there") } },
  };
  const cannot = `Cannot start target "broken:": not there\n`;

  it("go on without it, in the revisions of the others", async () => {
    const { code, out, err } = await runOnFakes(
      "--target broken: --target good: --report json".split(" "),
      [passing, picky],
      fakes,
    );
    assertEquals([code, err], [3, cannot]);
    const { targets } = JSON.parse(out) as JsonReport;
    assertEquals(
      targets.map(({ spec, uapi, summary: { pass, notrun } }) =>
        `${spec} ${uapi} ${pass} ${notrun}`
      ),
      ["broken: _ 0 2", "good: _ 2 0"].flatMap((line) =>
        REVISION_NAMES.map((uapi) => line.replace("_", uapi))
      ),
    );
  });

  it("have no report if none starts, and no list", async () => {
    const commands = [
      "--target broken:",
      "list --target good: --target broken:",
    ];
    for (const command of commands) {
      const args = command.split(" ");
      const { code, out, err } = await runOnFakes(args, [passing], fakes);
      assertEquals([code, out, err], [3, "", cannot]);
    }
  });
});

describe("--expectations", () => {
  const entry = {
    id: "b",
    expect: "fail",
    reason: "Known",
    link: "https://example.org/1",
  };
  const files = { "known.json": JSON.stringify([entry]) };

  it("turns a known failure into an xfail, and the exit code into 0", async () => {
    const fakes = { ...EINVAL_TARGET, files };
    const plain = await run("--report json", undefined, fakes);
    assertEquals([plain.code, statuses(plain.out)], [1, {
      "a.x": "pass",
      "b.mock.picky": "fail",
    }]);
    const known = await run(
      "--expectations known.json --report json",
      undefined,
      fakes,
    );
    assertEquals([known.code, statuses(known.out)], [0, {
      "a.x": "pass",
      "b.mock.picky": "xfail",
    }]);
    assertEquals(Object.keys(known.files), ["known.json"]);
  });

  it("fails a run in which a known failure passes", async () => {
    const { code, out } = await run("--expectations known.json", undefined, {
      files,
    });
    assertEquals(code, 1);
    assertStringIncludes(out, "It passed, and was expected to end with fail");
    assertStringIncludes(out, "--expectations known.json\n");
  });

  it("fails a run whose file has an entry that matches no test", async () => {
    const stale = JSON.stringify([{ ...entry, id: "gone" }]);
    const { code, out } = await run("--expectations known.json", undefined, {
      files: { "known.json": stale },
    });
    assertEquals(code, 1);
    assertStringIncludes(out, `known.json, entry 1: "gone" matches no test`);
  });

  it("does not mind an entry whose tests are not selected", async () => {
    const { code } = await run(
      "--expectations known.json --filter a",
      undefined,
      { files },
    );
    assertEquals(code, 0);
  });

  it("exits with 2 for a file that is not there or not right", async () => {
    const missing = await run("--expectations known.json");
    assertEquals(missing.code, 2);
    assertStringIncludes(missing.err, "no such file");
    const wrong = { "known.json": "{}" };
    const { code, err } = await run("--expectations known.json", undefined, {
      files: wrong,
    });
    assertEquals(code, 2);
    assertStringIncludes(err, "it must hold an array");
  });

  it("writes the file anew on demand, and prints the difference", async () => {
    const { code, out, files: written } = await run(
      "--expectations known.json --update-expectations",
      undefined,
      EINVAL_TARGET,
    );
    assertEquals(code, 0);
    assertEquals(JSON.parse(written["known.json"]!), [{
      id: "b.mock.picky",
      when: { target: "impl:" },
      expect: "fail",
      reason: "DESTROY: expected 0, got -22",
      link: "",
    }]);
    assertStringIncludes(out, `\nknown.json changed:\n`);
    assertStringIncludes(out, `\n+     "id": "b.mock.picky",\n`);
    assertStringIncludes(
      out,
      "1 of its entries need a reason or a link: --link URL gives all of them one.",
    );
    const again = await run(
      "--expectations known.json --update-expectations",
      undefined,
      { ...EINVAL_TARGET, files: written },
    );
    assertStringIncludes(again.out, "known.json did not change.\n");
  });

  it("writes what can be committed as it is, with a link for all", async () => {
    const first = await run(
      "--expectations known.json --update-expectations --link https://example.org/7",
      undefined,
      EINVAL_TARGET,
    );
    assertEquals(first.code, 0);
    assertEquals(
      JSON.parse(first.files["known.json"]!).link,
      "https://example.org/7",
    );
    assertEquals(first.out.includes("need a reason or a link"), false);
    const { code, out } = await run("--expectations known.json", undefined, {
      ...EINVAL_TARGET,
      files: first.files,
    });
    assertEquals(code, 0);
    assertStringIncludes(out, "1 failed as expected");
  });

  it("keeps the difference off standard output where a program reads that", async () => {
    const { out, err } = await run(
      "--expectations known.json --update-expectations --report json",
      undefined,
      { files },
    );
    assertEquals((JSON.parse(out) as JsonReport).good, false);
    assertStringIncludes(err, `-     "id": "b",\n`);
  });
});

describe("a report for programs", () => {
  it("says when, where and how the run was made, and what was selected", async () => {
    const { out } = await run("--report json --filter a*");
    const { origin, durationMs, settings } = JSON.parse(out) as JsonReport;
    assertEquals(origin, {
      started: "2026-11-28T00:00:00.000Z",
      command: "deno task conformance --uapi 6.12 --report json --filter 'a*'",
      machine: { os: "linux", arch: "x86_64", processors: 2, deno: "2.9.6" },
    });
    assertEquals(durationMs >= 0, true);
    assertEquals(settings, { filters: ["a*"] });
    const kit = await run("--report json --suite kernel");
    const { settings: { suite } } = JSON.parse(kit.out) as JsonReport;
    assertEquals(suite, "kernel");
  });
});

describe("order and repetition", () => {
  const many = Array.from({ length: 9 }, (_, i) => passingTest(`a.t${i}`));

  /** The ids in the order in which they ran. */
  async function order(args: string, tests = many): Promise<string[]> {
    const { out } = await run(`--report jsonl ${args}`, tests);
    return out.trimEnd().split("\n")
      .map((line) => JSON.parse(line) as JsonlLine)
      .flatMap((line) => line.type === "result" ? [line.id] : []);
  }

  it("is decided by the seed, which reports tell", async () => {
    const shuffled = await order("--seed 7");
    assertNotEquals(shuffled, many.map(({ id }) => id));
    assertEquals(await order("--seed 7 --shuffle"), shuffled);
    assertNotEquals(await order("--seed 8"), shuffled);
    const { out } = await run("--seed 7", many);
    assertStringIncludes(out, "\nshuffled with seed 7\n");
    const { out: chosen } = await run("--shuffle --report json", many);
    assertEquals(
      typeof (JSON.parse(chosen) as JsonReport).settings.seed,
      "number",
    );
  });

  it("is that of the suite in all reports but the one that is written meanwhile", async () => {
    const { out } = await run("--seed 7 --report json", many);
    assertEquals(Object.keys(statuses(out)), many.map(({ id }) => id));
  });

  it("gives each shard its part", async () => {
    const shards = await Promise.all(
      ["1/2", "2/2"].map((shard) => order(`--shard ${shard}`)),
    );
    assertEquals(shards.map(({ length }) => length), [5, 4]);
    assertEquals(shards.flat().sort(), many.map(({ id }) => id));
    const empty = await run("--shard 3/3", [passing]);
    assertEquals([empty.code, empty.err], [2, "The options select no test.\n"]);
  });

  /** Fails whenever it runs for the `nth` time. */
  function flaky(nth: number): Test {
    let times = 0;
    return fakeTest("a.flaky", () => {
      assertEq(++times % nth === 0, false, "its turn");
      return Promise.resolve();
    });
  }

  it("repeats tests: the worst result counts", async () => {
    const { code, out } = await run("--repeat 4 --report json", [
      passing,
      flaky(3),
    ]);
    assertEquals(code, 1);
    const { targets, summary } = JSON.parse(out) as JsonReport;
    assertEquals([summary.total, summary.fail], [2, 1]);
    assertEquals(targets[0]!.tests[0]!.runs, { pass: 4 });
    assertEquals(targets[0]!.tests[1]!.runs, { pass: 3, fail: 1 });
  });

  it("goes on until something fails", async () => {
    const { code, out } = await run("--until-fail --report json", [
      passing,
      flaky(5),
      passingTest("a.z"),
    ]);
    assertEquals(code, 1);
    const { targets } = JSON.parse(out) as JsonReport;
    assertEquals(
      targets[0]!.tests.map(({ runs }) => runs),
      [{ pass: 5 }, { pass: 4, fail: 1 }, { pass: 4 }],
    );
    assertEquals(targets[0]!.stopped, "Stopped after the first failure");
  });

  it("goes on as often as is said when nothing fails", async () => {
    const { code, out } = await run("--until-fail --repeat 2 --report json", [
      passing,
    ]);
    assertEquals(code, 0);
    const { targets } = JSON.parse(out) as JsonReport;
    assertEquals(targets[0]!.tests[0]!.runs, { pass: 2 });
  });

  it("stops after the first failure on demand, on all targets", async () => {
    const { code, out } = await run(
      "--fail-fast --target bad: --target good: --report json",
      [passing, picky, passingTest("c.y")],
      { targets: { "bad:": EINVAL_TARGET } },
    );
    assertEquals(code, 1);
    assertEquals(statuses(out), {
      "a.x": "pass",
      "b.mock.picky": "fail",
      "c.y": "notrun",
    });
    const { targets } = JSON.parse(out) as JsonReport;
    assertEquals(targets[1]!.summary.notrun, 3);
    assertEquals(targets[1]!.tests[0]!.reason, "the run ended early");
  });
});

describe("transcripts", () => {
  it("are saved for failures, with a command that plays them back", async () => {
    const { out, files } = await run("--filter b", undefined, EINVAL_TARGET);
    const path = ".cache/transcripts/impl/6.12/b.mock.picky.txt";
    assertEquals(Object.keys(files), [path]);
    assertStringIncludes(files[path]!, "# test b.mock.picky\n");
    assertStringIncludes(
      files[path]!,
      "> 4 1 ioctl 3 0x3b80 0800000001000000\n< 4 ok -22 0800000001000000\n",
    );
    assertStringIncludes(
      out,
      `   calls     ${path}\n   replay    deno task conformance --target replay:${path}\n`,
    );
  });

  it("go into the folder that is named, or nowhere", async () => {
    const named = await run("--transcripts calls", undefined, EINVAL_TARGET);
    assertEquals(Object.keys(named.files), [
      "calls/impl/6.12/b.mock.picky.txt",
    ]);
    const none = await run("--no-transcripts", undefined, EINVAL_TARGET);
    assertEquals([none.files, none.out.includes("replay")], [{}, false]);
  });
});

describe("explain", () => {
  const needy = passingTest("c.needs", { needs: ["fork"], upstream: false });

  it("says what a test checks and needs, and whether it would run", async () => {
    const { code, out } = await runOnFakes(
      ["explain", "c.needs", "--uapi", "v3"],
      [passing, needy],
    );
    assertEquals(code, 0);
    assertEquals(
      out,
      `c.needs
  checks      Checks c.needs
  answers to  none
  part of     this kit's own tests
  needs       fork: processes that fork
  revisions   ${REVISION_NAMES.join(", ")}
  on          impl: v3: would be skipped: needs fork
  run it      deno task conformance --uapi v3 --filter c.needs
`,
    );
  });

  it("says which rules a test proves", async () => {
    const test: Test = { ...passing, rules: ["B02"] };
    const { out } = await runOnFakes(["explain", "a.x"], [test]);
    assertStringIncludes(out, `  rule        B02: ${RULES.B02.says}\n`);
  });

  it("says what a rule is, and which tests prove it", async () => {
    const test: Test = { ...passing, rules: ["B02"] };
    const { out } = await runOnFakes(["explain", "B02"], [test, needy]);
    assertEquals(
      out,
      `B02
  Linux      ${RULES.B02.says}
  where      main.c iommufd_fops_ioctl
  since      6.2
  level      rule of the uAPI: programs may rely on it
  proved by  a.x
`,
    );
  });

  it("is not needed to learn which rule a failure breaks", async () => {
    const fails = fakeTest("b.fails", () => Promise.reject(new Error("no")));
    const test: Test = { ...fails, rules: ["P05.9"] };
    const { out } = await runOnFakes(["--uapi", "v3"], [test]);
    assertStringIncludes(out, `rule      P05.9: ${RULES["P05.9"].says}\n`);
  });

  it("takes the beginning of codes, and suggests codes", async () => {
    const { out } = await runOnFakes(["explain", "P06"], [passing]);
    assertMatch(out, /^P06\.1\n/);
    const none = await runOnFakes(["explain", "B0"], [passing]);
    assertMatch(none.err, /Did you mean "B0\d"/);
  });

  it("says which bug of Linux keeps it from running there", async () => {
    const test = { ...passing, knownBug: "unlocks_dead_owner" } as const;
    const { out } = await runOnFakes(["explain", "a.x"], [test]);
    assertStringIncludes(out, "  not on      Linux: pages.c do_update_pinned");
  });

  it("says what the expectations have about it", async () => {
    const entry = { id: "a", expect: "fail", reason: "Known", link: "x:1" };
    const { out } = await runOnFakes(
      ["explain", "a.x", "--uapi", "v3", "--expectations", "known.json"],
      [passing],
      { files: { "known.json": JSON.stringify([entry]) } },
    );
    assertStringIncludes(out, "  part of     the kernel's selftest program");
    assertStringIncludes(out, "  needs       nothing but the plain system");
    assertStringIncludes(out, "  on          impl: v3: would run\n");
    assertStringIncludes(out, "  expected    fail: Known (x:1)\n");
  });

  it("finds tests by the end of their id, and suggests others", async () => {
    const found = await runOnFakes(["explain", "picky"], [passing, picky]);
    assertEquals(found.code, 0);
    assertEquals(found.out.startsWith("b.mock.picky\n"), true);
    const none = await runOnFakes(["explain", "a.y"], [passing]);
    assertEquals(none.code, 2);
    assertEquals(
      none.err,
      `No test, rule or ioctl is called "a.y". Did you mean "a.x"?\n`,
    );
  });
});
