// SPDX-License-Identifier: GPL-2.0-only

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";

const MODEL_AGENT = "conformance/agents/model_agent.ts";

/** Runs the command as `deno task bench` does. */
function bench(...args: string[]): ReturnType<typeof run> {
  return run("bench/command.ts", ...args);
}

/** Runs a module with arguments. */
async function run(
  module: string,
  ...args: string[]
): Promise<{ code: number; out: string; err: string }> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", module, ...args],
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

  it("runs what is chosen, and compares nothing with anything else", async () => {
    const { code, out } = await bench("--filter", "EBADF");
    assertEquals(code, 0);
    assertStringIncludes(out, "system_calls_bench.ts");
    assertStringIncludes(out, "| close of a bad descriptor (EBADF)");
    assertEquals(/faster|slower|summary|map_bench/.exec(out), null);
  });

  it("hands options to deno bench", async () => {
    const { out } = await bench("--json", "--filter=/EBADF/");
    const [benchmark, ...more] = JSON.parse(out).benches;
    assertStringIncludes(benchmark.name, "close of a bad descriptor (EBADF)");
    assertEquals(more, []);
  });

  it("has a help of its own", async () => {
    const { code, out } = await bench("--help");
    assertEquals(code, 0);
    assertStringIncludes(out, "Usage: deno task bench [--filter TEXT]");
    for (const line of out.split("\n")) assert(line.length <= 80, line);
  });

  it("lists the operations", async () => {
    const { code, out } = await bench("--list", "--filter", "fork");
    assertEquals(code, 0);
    assertMatch(out, /^fork; the child maps, unmaps and exits, 4 KiB\n/);
  });

  for (
    const [why, ...args] of [
      ["it must begin with impl:", "--target=nowhere:"],
      [`the capability "time"`, "--target", UNTIMED],
      [`Cannot start target "stdio:false"`, "--target", "stdio:false"],
      ["--json is an option of deno", "--target", "impl:", "--json"],
      ["--json is an option of deno", "--list", "--json"],
      [`"xyz" in its name`, "--target", "impl:", "--filter", "xyz"],
      [`No operation has "xyz" in its name. "deno`, "--filter", "xyz"],
      [`Did you mean "IOAS_MAP"?`, "--filter=IOAS_MAPP"],
      [`Did you mean "IOAS_MAP, 4 KiB pages`, "--filter", "ioas_map"],
      [
        `Did you mean "close of a bad descriptor (E`,
        "--filter=close of bad descrs",
      ],
      [`Did you mean "IOAS_COPY`, "--list", "--filter", "ioas_copy"],
      ["Cannot parse --filter", "--filter", "/(/"],
      ["--filter needs a value", "--filter="],
      ["--filter needs a value", "--filter"],
    ] as const
  ) {
    it(`refuses ${args.join(" ")}: ${why}`, async () => {
      const { code, err } = await bench(...args);
      assertEquals(code, 2);
      assertStringIncludes(err, why);
    });
  }
});

describe("deno task bench:report", () => {
  it("refuses a name that no operation has", async () => {
    const { code, err } = await run("bench/report.ts", "ioas_map", "nosuch");
    assertEquals(code, 2);
    assertStringIncludes(err, `Did you mean "IOAS_MAP`);
    assertStringIncludes(err, `No operation has "nosuch" in its name.`);
  });
});
