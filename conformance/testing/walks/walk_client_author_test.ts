// SPDX-License-Identifier: GPL-2.0-only

/**
 * The walk of who writes a client: README's example in a folder of one's own,
 * then those of examples/client, then a mistake, and a program that is not
 * written in TypeScript. npm/npm_test.ts walks it with npm.
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { isThere } from "../../linux_vm/programs.ts";
import { CLONE, deno, OwnFolder, run } from "./walk.ts";

const EXAMPLES = `${CLONE}examples/client/`;

/** A client that maps at an IOVA that is taken. */
const TWICE = `import { IommufdClient, Kernel } from "@iommufd/kit";
const iommufd = IommufdClient.open(new Kernel().spawn());
const { ioasId } = iommufd.ioasAlloc();
const map = { ioasId, userVa: 0x10000000, length: 4096, iova: 0x1000000 };
iommufd.ioasMap(map);
iommufd.ioasMap(map);
`;

/** What it is told, as README has it. */
function told(): string {
  const readme = Deno.readTextFileSync(`${CLONE}README.md`);
  const block = /^```text\n(IOMMU_IOAS_MAP failed .*?)\n```$/ms.exec(readme)!;
  return block[1]!.replaceAll("\n", " ");
}

Deno.test("a client author's walk", async (t) => {
  await using folder = await OwnFolder.make();
  const { path } = folder;

  await t.step("the example of README tests a client", async () => {
    await folder.copy("examples/client_test.ts");
    const out = await deno(path, "test");
    assertStringIncludes(out, "maps no more than RLIMIT_MEMLOCK ... ok");
  });

  await t.step(
    "so do those about devices, and none converts a number",
    async () => {
      for (const { name } of Deno.readDirSync(EXAMPLES)) {
        await folder.copy(`examples/client/${name}`);
        const text = Deno.readTextFileSync(`${EXAMPLES}${name}`);
        assertEquals(/\b(Number|BigInt)\(/.test(text), false, name);
      }
      const out = await deno(path, "test");
      assertStringIncludes(out, "ok | 7 passed | 0 failed");
    },
  );

  await t.step("a call that fails says why", async () => {
    await folder.write("mine.ts", TWICE);
    const { code, out } = await run(path, Deno.execPath(), "run", "mine.ts");
    assertEquals(code, 1);
    assertStringIncludes(out, told());
  });

  await t.step({
    name: "a program in Python runs as it is, and each call is told",
    ignore: Deno.build.os !== "linux" || !await isThere("python3"),
    async fn() {
      const client = `${CLONE}examples/programs/client.py`;
      const task = ["task", "--config", `${CLONE}deno.json`, "run", "--log"];
      const out = await deno(path, ...task, "--", "python3", client);
      assertMatch(out, /openat\(.*"\/dev\/iommu", .*\) = \d+<\/dev\/iommu>/);
      assertMatch(
        out,
        /IOMMU_IOAS_MAP, \{flags=0x\w+ \(.*\), ioas_id=1, .*\) = 0/,
      );
      assertStringIncludes(out, "16384 bytes are unmapped\n");
    },
  });
});
