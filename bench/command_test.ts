// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";

const MODEL_AGENT = "conformance/agents/model_agent.ts";

/** Runs the command as `deno task bench` does. */
async function bench(
  ...args: string[]
): Promise<{ code: number; out: string; err: string }> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", "bench/command.ts", ...args],
    cwd: new URL("..", import.meta.url),
    env: { NO_COLOR: "1" },
  });
  const { code, stdout, stderr } = await command.output();
  const [out, err] = [stdout, stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  ) as [string, string];
  return { code, out, err };
}

/** A target that cannot take the time. */
const UNTIMED = `module:${
  new URL("../conformance/testing/module_target.ts", import.meta.url).pathname
}`;

describe("deno task bench", () => {
  it("times a target beside the model", async () => {
    const agent = `stdio:${Deno.execPath()} run --quiet ${MODEL_AGENT}`;
    const { code, out } = await bench("--target", agent, "--filter", "EBADF");
    assertEquals(code, 0);
    const [headings, , row, ...rest] = out.trimEnd().split("\n");
    assertStringIncludes(headings!, "iommufd-kit-model");
    assertStringIncludes(row!, "close of a bad descriptor (EBADF)");
    assertEquals(rest, []);
  });

  it("is deno bench without a target", async () => {
    const { code, out } = await bench("--no-check", "--filter", "none");
    assertEquals(code, 0);
    assertStringIncludes(out, "map_bench.ts");
  });

  for (
    const [why, ...args] of [
      ["it must begin with impl:", "--target=nowhere:"],
      [`the capability "time"`, "--target", UNTIMED],
      [`Cannot start target "stdio:false"`, "--target", "stdio:false"],
      ["not --json", "--target", "impl:", "--json"],
      [`"xyz" in its name`, "--target", "impl:", "--filter", "xyz"],
    ] as const
  ) {
    it(`refuses ${args.join(" ")}: ${why}`, async () => {
      const { code, err } = await bench(...args);
      assertEquals(code, 2);
      assertStringIncludes(err, why);
    });
  }
});
