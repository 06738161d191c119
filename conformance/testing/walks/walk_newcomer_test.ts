// SPDX-License-Identifier: GPL-2.0-only

/**
 * The walk of a newcomer: README's first commands in a fresh clone, with
 * nothing fetched before, and then without a network.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CLONE, type Done, OwnFolder, run } from "./walk.ts";

/** What README prints of the first example. */
function firstOutput(): string {
  const readme = Deno.readTextFileSync(`${CLONE}README.md`);
  return /^```text\n(iommufd 7\.3: .*?)^```$/ms.exec(readme)![1]!;
}

/** What was fetched. */
function packagesIn(folder: string): string[] {
  return [...Deno.readDirSync(`${folder}/npm`)].flatMap(({ name }) =>
    [...Deno.readDirSync(`${folder}/npm/${name}`)].map(({ name }) => name)
  );
}

Deno.test("a newcomer's walk", async (t) => {
  await using folder = await OwnFolder.make();
  const clone = `${folder.path}/clone`;
  const fetched = `${folder.path}/fetched`;
  const cloned = await run(CLONE, "git", "clone", "-q", CLONE, clone);
  assertEquals(cloned.code, 0, cloned.out);
  /** Deno in the clone, with packages of its own, and a network or none. */
  const deno = (network: boolean, ...args: string[]): Promise<Done> => {
    const env = [`DENO_DIR=${fetched}`];
    if (!network) env.push("HTTPS_PROXY=http://127.0.0.1:9");
    return run(clone, "env", ...env, Deno.execPath(), ...args);
  };

  await t.step(
    "the first command passes, and fetches one package",
    async () => {
      const { code, out } = await deno(true, "task", "conformance");
      assertEquals(code, 0, out);
      assertStringIncludes(out, "v3: 100 of 100 kernel tests passed");
      assertStringIncludes(out, "6.12: 190 of 190 and 7 of 7 ");
      assertStringIncludes(out, "7.3: 241 of 246 and 8 of 8 ");
      assertEquals(packagesIn(fetched), ["deno-std"]);
    },
  );

  await t.step("after that nothing needs a network", async () => {
    const args = ["--uapi", "6.12", "--filter", "iommufd_ioas.mock_domain"];
    const again = await deno(false, "task", "conformance", ...args);
    assertEquals(again.code, 0, again.out);
    assertStringIncludes(again.out, "kernel tests passed");
    const first = await deno(false, "run", "examples/first.ts");
    assertEquals(first, { code: 0, out: firstOutput() });
    const demo = await deno(false, "task", "--quiet", "demo");
    assertEquals(demo.code, 0, demo.out);
    assertStringIncludes(demo.out, "1. An IO address space");
  });

  await t.step("each task says what it is for", async () => {
    const { out } = await deno(false, "task");
    assertStringIncludes(out, "Run every selftest against the model");
    const { tasks } = JSON.parse(Deno.readTextFileSync(`${clone}/deno.json`));
    for (const name of Object.keys(tasks)) assert(out.includes(name), name);
  });

  await t.step("a mistake is answered with what was meant", async () => {
    const args = ["task", "conformance", "--target", "imp:"];
    const { code, out } = await deno(false, ...args);
    assertEquals(code, 2, out);
    assertStringIncludes(out, 'Did you mean "impl:"?');
  });
});
