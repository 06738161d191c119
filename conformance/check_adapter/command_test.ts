// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { denoHost } from "../lib/host.ts";
import { type Alter, alteredModel, at } from "../testing/altered_model.ts";
import { TestTime } from "../testing/test_time.ts";
import { UsageError } from "../lib/usage_error.ts";
import { runCheckAdapter } from "./command.ts";

/** Runs the subcommand on an altered model. */
async function run(
  args: string[],
  alter: Alter = (_, honest) => honest(),
): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const host = {
    ...denoHost(),
    out: (text: string) => void (out += text),
    err: (text: string) => void (err += text),
    color: false,
  };
  const code = await runCheckAdapter(args, host, (spec) => ({
    spec,
    revisions: () => Promise.resolve(["6.12"]),
    open: () => Promise.reject(new Error("not used")),
    ...spec !== "impl:" &&
      { connect: () => Promise.resolve(alteredModel(alter)) },
  }));
  return { code, out, err };
}

describe("check-adapter", () => {
  it("exits with 0 when nothing is wrong", async () => {
    const { code, out, err } = await run(["stdio:x"]);
    assertEquals([code, err], [0, ""]);
    assertMatch(out, /^ok {5}hello\n/);
    assertMatch(out, /\n\n\d+ ok, 0 wrong, 0 skipped\n$/);
  });

  it("exits with 1 when something is wrong", async () => {
    const takesAnyAdvice = at(
      "madvise",
      (_, honest) => honest().replace(/^ok -22$/, "ok 0"),
    );
    const { code, out } = await run(["stdio:x"], takesAnyAdvice);
    assertEquals(code, 1);
    assertMatch(
      out,
      /^wrong {2}madvise: .*expected EINVAL, got success.*\n {7}> \d+ \d+ madvise \S+ 0x1000 999\n {7}< \d+ ok 0\n/m,
    );
    assertMatch(out, /, 1 wrong, 0 skipped\n$/);
  });

  it("shows the request that was not answered, and no more of a line than fits", async () => {
    using time = new TestTime();
    time.pass(Infinity);
    const silent = ({ verb }: { verb: string }, honest: () => string) =>
      verb.length > 1000 ? "ok" : verb === "eventfd" ? "" : honest();
    const { out } = await run(["stdio:x"], silent);
    assertMatch(
      out,
      /^wrong {2}a request of a megabyte.*\n {7}> .*x… \(\d{7} characters\)\n {7}< \d+ ok\n/m,
    );
    assertMatch(
      out,
      /^wrong {2}eventfd: .*\n {7}> \d+ \d+ eventfd \d+ .*\n {7}< \d+ \n/m,
    );
  });

  it("exits with 3 and a sentence when the adapter does not greet", async () => {
    const { code, out, err } = await run(["stdio:x"], () => "ok");
    assertEquals([code, out], [3, ""]);
    assertMatch(
      err,
      /^Cannot start target "stdio:x": .*protocol is missing\n$/,
    );
  });

  it("prints its help", async () => {
    assertMatch((await run(["--help"])).out, /Usage: .*check-adapter TARGET/);
  });

  for (
    const [args, message] of [
      [[], "check-adapter needs one target"],
      [["stdio:x", "stdio:y"], "check-adapter needs one target"],
      [["impl:"], `Target "impl:" is no adapter`],
    ] as const
  ) {
    it(`refuses the arguments [${args}]`, async () => {
      await assertRejects(() => run([...args]), UsageError, message);
    });
  }
});
