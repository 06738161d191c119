// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { REVISION_NAMES } from "../../impl/uapi/revision.ts";
import { assertEq, type Test } from "../../selftests/harness/harness.ts";
import type { JsonReport } from "../reports/formats/json.ts";
import { fakeTest, passingTest } from "../testing/fake_target.ts";
import {
  type CommandFakes,
  type CommandOutcome,
  runOnFakes,
} from "../testing/run_command.ts";

const failing = fakeTest("b.mock.fails", () => {
  assertEq(1, 2, "one");
  return Promise.resolve();
});
const needy = passingTest("c.needs", { needs: ["vfio"], upstream: false });
const onlyNew = passingTest("a.new", { uapi: ["6.12"] });

/** Runs the command on fakes. */
function run(
  args: string[],
  tests: Test[] = [passingTest("a.x"), onlyNew],
  fakes: CommandFakes = {},
): Promise<CommandOutcome> {
  return runOnFakes(args, tests, fakes);
}

describe("runCommand()", () => {
  it("runs all revisions and exits with 0 when all pass", async () => {
    const { code, out, err } = await run([]);
    assertEquals([code, err], [0, ""]);
    assertStringIncludes(
      out,
      "v3: 1 of 1 kernel tests passed\n6.12: 2 of 2 kernel tests passed\n",
    );
  });

  it("exits with 1 when a test fails, and says how to run just that one", async () => {
    const { code, out } = await run([], [passingTest("a.x"), failing]);
    assertEquals(code, 1);
    assertStringIncludes(out, "   expected  2\n   actual    1\n");
    assertStringIncludes(
      out,
      "   rerun     deno task conformance --uapi v3 --filter b.mock.fails\n",
    );
  });

  it("repeats the target in the command that runs a test again", async () => {
    const { out } = await run(["--target", "odd:it's"], [failing]);
    assertStringIncludes(
      out,
      `conformance --target 'odd:it'\\''s' --uapi v3 --filter b.mock.fails`,
    );
  });

  it("exits with 1 when the target leaves something behind", async () => {
    const problems = ["A page is still pinned."];
    assertEquals((await run([], undefined, { problems })).code, 1);
  });

  for (
    const [what, options] of [
      ["breaks", { resetError: new Error("it died") }],
      ["does not spawn", { spawnError: new Error("no memory") }],
    ] as const
  ) {
    it(`exits with 1 when the target ${what} in the only test`, async () => {
      const { code, out } = await run(["--uapi", "v3"], undefined, options);
      assertEquals(code, 1);
      assertStringIncludes(out, "1 ended with an error");
    });

    it(`exits with 3 and a sentence when the target ${what} every time`, async () => {
      const { code, out, err } = await run(
        ["--uapi", "6.12"],
        undefined,
        options,
      );
      assertEquals([code, out], [3, ""]);
      assertMatch(
        err,
        /^The target was started again 3 times and did not work: .*\n$/,
      );
    });
  }

  it("exits with 1 when a test hangs", async () => {
    const hanging = fakeTest("a.hangs", () => new Promise(() => {}));
    const { code, out } = await run(["--timeout", "10"], [hanging]);
    assertEquals(code, 1);
    assertStringIncludes(out, "No end after 0.01 seconds");
  });

  it("exits with 0 when tests are skipped, and counts them by reason", async () => {
    const tests = [passingTest("a.x", { upstream: false }), needy];
    const { code, out } = await run(["--uapi", "v3"], tests);
    assertEquals(code, 0);
    assertStringIncludes(out, "v3: 1 of 2 own tests passed; 1 skipped\n");
    assertStringIncludes(out, "1 skipped: needs vfio");
  });

  it("exits with 1 when tests were skipped that may not be, and tells which", async () => {
    const tests = [passingTest("a.x", { upstream: false }), needy];
    for (
      const [arg, exit] of [
        ["--no-skip", 1],
        ["--no-skip=vfio", 1],
        ["--no-skip=hwpt", 0],
      ] as const
    ) {
      const { code, out } = await run(["--uapi", "v3", arg], tests);
      assertEquals(code, exit, arg);
      const problem = "impl: v3: 1 skipped, and none may be: needs vfio";
      assertEquals(out.includes(problem), exit === 1, arg);
    }
  });

  it("exits with 1 when all tests of a target were skipped or failed as expected", async () => {
    const known = JSON.stringify([
      { id: "b", expect: "fail", reason: "not yet", link: "none" },
    ]);
    const files = { "known.json": known };
    for (
      const [args, tests, problem] of [
        [[], [needy], "impl: v3: no test passed, of 1 that"],
        [["--expectations", "known.json"], [needy, failing], "of 2 that"],
        [["--target", "a:", "--target", "b:"], [needy], "b: v3: no test"],
      ] as const
    ) {
      const { code, out } = await run([...args], [...tests], {
        files,
        targets: { "a:": { capabilities: ["vfio"] } },
      });
      assertEquals(code, 1);
      assertStringIncludes(out, problem);
      assertEquals(out.includes("a: v3: no test"), false);
    }
  });

  it("exits with 2 when a filter leaves nothing of one of the targets", async () => {
    const { code, err } = await run(
      ["--target", "impl:", "--target", "old:", "--filter", "a.new"],
      undefined,
      { targets: { "old:": { uapi: "v3" } } },
    );
    assertEquals(code, 2);
    assertStringIncludes(err, `select no test of target "old:" (uAPI v3)`);
  });

  it("runs only the revision and the tests that are selected", async () => {
    const tests = [passingTest("a.x"), passingTest("b.y"), failing];
    const { code, out } = await run(
      ["--uapi", "6.12", "--filter", "a", "--filter", "*.y"],
      tests,
    );
    assertEquals(code, 0);
    assertMatch(out, /6\.12: 2 of 2 /);
    assertEquals(out.includes("v3:"), false);
  });

  it("leaves out a revision of which nothing is selected", async () => {
    const { code, out } = await run(["--filter", "a.new"]);
    assertEquals(code, 0);
    assertEquals(out.includes("v3:"), false);
  });

  for (
    const [args, message] of [
      [["--filter", "nothing"], `--filter "nothing" matches no test.`],
      [["--suite", "kit"], "The options select no test."],
      [["--uapi", "6.11"], `Target "impl:" does not offer uAPI "6.11": it has`],
      [["--uapi", "6.11"], `Did you mean "6.12"?`],
      [["--bogus"], `Unknown option "--bogus".`],
    ] as const
  ) {
    it(`exits with 2 for ${args.join(" ")}: ${message}`, async () => {
      const { code, out, err } = await run([...args]);
      assertEquals([code, out], [2, ""]);
      assertStringIncludes(err, message);
      assertEquals(err.trimEnd().split("\n").length, 1);
    });
  }

  it("exits with 2 for a report that cannot be written, before any test runs", async () => {
    const { code, out, err } = await run(["--report", "json:/missing/x"]);
    assertEquals([code, out], [2, ""]);
    assertStringIncludes(
      err,
      `Cannot write the report to "/missing/x": No such directory`,
    );
  });

  it("writes all reports that it can, and exits with 2 for one that it cannot", async () => {
    const { code, err, files } = await run(
      ["--report", "ktap:/full/x", "--report", "json:x", "--uapi", "v3"],
    );
    assertEquals(code, 2);
    assertEquals(err, `Cannot write the report to "/full/x": No space left\n`);
    assertEquals(JSON.parse(files.x!).good, true);
  });

  it("exits with 3 when the target does not start", async () => {
    const startError = new Error("not there");
    const { code, err } = await run([], undefined, { startError });
    assertEquals(code, 3);
    assertEquals(err, `Cannot start target "impl:": not there\n`);
  });

  it("writes reports to files and the pretty one to standard output", async () => {
    const { out, files } = await run(
      ["--uapi", "v3", "--report", "json:a.json", "--report", "ktap:b.tap"],
    );
    assertStringIncludes(out, "v3: 1 of 1 kernel tests passed");
    assertEquals(JSON.parse(files["a.json"]!).summary.pass, 1);
    assertMatch(
      files["b.tap"]!,
      /^TAP version 13\n(# .*\n)+1\.\.1\nok 1 a\.x\n$/,
    );
  });

  it("writes nothing but a machine's report to standard output if that is asked for", async () => {
    const { out } = await run(["--report", "json"]);
    const { targets } = JSON.parse(out) as JsonReport;
    assertEquals(targets.map(({ uapi }) => uapi), [...REVISION_NAMES]);
  });

  it("shows progress on a terminal only, and takes it away", async () => {
    assertEquals((await run([])).err, "");
    const { err } = await run([], undefined, { terminal: true });
    assertStringIncludes(err, "\r\x1b[Kv3 1/1 a.x");
    assertEquals(err.endsWith("\r\x1b[K"), true);
  });

  it("lists tests without running them, and says which would be skipped", async () => {
    const tests = [failing, needy, onlyNew];
    const { code, out } = await run(["--list"], tests);
    assertEquals(code, 0);
    const shown = REVISION_NAMES.map((uapi) =>
      `${uapi.padEnd(4)}  b.mock.fails
${uapi.padEnd(4)}  c.needs # SKIP needs vfio
${uapi === "6.12" ? "6.12  a.new\n" : ""}`
    );
    assertEquals(out, shown.join(""));
    const one = await run(["--list", "--uapi", "6.12", "--filter", "a"], tests);
    assertEquals(one.out, "a.new\n");
  });

  it("lists as JSON too", async () => {
    const { out } = await run(["--list", "--report", "json", "--uapi", "v3"], [
      needy,
    ]);
    assertEquals(JSON.parse(out), [{
      id: "c.needs",
      target: "impl:",
      uapi: "v3",
      program: null,
      needs: ["vfio"],
      description: "Checks c.needs",
      reference: "none",
      rules: [],
      skip: "needs vfio",
    }]);
  });

  it("prints help and version", async () => {
    assertStringIncludes((await run(["--help"])).out, "Usage:");
    assertMatch(
      (await run(["--version"])).out,
      /^iommufd-kit conformance \S+ \(suite [\da-f]{12}\)\n$/,
    );
  });
});
