// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { VERSION } from "./lib/version.ts";

/** Runs the command in a process of its own, as `deno task conformance` does. */
async function run(
  ...args: string[]
): Promise<{ code: number; out: string; err: string }> {
  const cli = new URL("./cli.ts", import.meta.url).href;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-write", cli, ...args],
    env: { DENO_NO_UPDATE_CHECK: "1" },
  });
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

describe("cli.ts", () => {
  it("runs a test on the model in all revisions and exits with 0", async () => {
    const { code, out } = await run("--filter", "iommufd.simple_close");
    assertEquals(code, 0);
    // Standard output is no terminal here: no colours.
    assertStringIncludes(
      out,
      "\nv3: 1 of 1 kernel tests passed\n6.12: 1 of 1 kernel tests passed\n",
    );
  });

  it("writes a report to a file", async () => {
    const path = await Deno.makeTempFile({ suffix: ".tap" });
    try {
      const { code } = await run(
        ...["--target", "impl:6.12,scattered=7"],
        ...["--filter", "iommufd.simple_close", "--report", `ktap:${path}`],
      );
      assertEquals(code, 0);
      assertMatch(
        await Deno.readTextFile(path),
        /^TAP version 13\n(# .*\n)+1\.\.1\nok 1 iommufd\.simple_close\n$/,
      );
    } finally {
      await Deno.remove(path);
    }
  });

  it("prints its version", async () => {
    const { code, out } = await run("--version");
    assertEquals(code, 0);
    assertStringIncludes(out, `iommufd-kit conformance ${VERSION} (suite `);
  });

  for (
    const [what, args, message] of [
      ["an unknown option", ["--filtre", "x"], `Did you mean "--filter"?`],
      ["an unknown target", ["--target", "imp:"], `Did you mean "impl:"?`],
      ["an odd target", ["--target", "impl:fast"], `Cannot parse uAPI`],
      ["a filter without a match", ["--filter", "nothing"], "matches no test"],
      [
        "a report that cannot be written",
        ["--report", "json:/nowhere/report.json"],
        `Cannot write the report to "/nowhere/report.json"`,
      ],
    ] as const
  ) {
    it(`exits with 2 and a sentence for ${what}`, async () => {
      const { code, out, err } = await run(...args);
      assertEquals([code, out], [2, ""]);
      assertStringIncludes(err, message);
      assertEquals(err.includes("    at "), false);
    });
  }
});
