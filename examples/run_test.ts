// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes } from "@std/assert";
import { run } from "@iommufd/kit/host";

const FOLDER = new URL("programs/", import.meta.url).pathname;

/** True if a program is not there. */
async function lacks(program: string): Promise<boolean> {
  try {
    await new Deno.Command(program, { args: ["--version"] }).output();
    return false;
  } catch {
    return true;
  }
}

Deno.test({
  name: "the client in Python maps memory, unmaps it, and closes all",
  ignore: await lacks("python3"),
  async fn() {
    const { code, stdout, left } = await run("python3", [`${FOLDER}client.py`]);
    assertStringIncludes(stdout, "16384 bytes are unmapped\n");
    assertEquals([code, left], [0, []]);
  },
});

Deno.test({
  name: "the client in C says what failed, whatever step of the kernel does",
  ignore: await lacks("cc"),
  async fn(t) {
    const page = `${await Deno.makeTempDir()}/page`;
    const args = ["-o", page, `${FOLDER}page.c`];
    await new Deno.Command("cc", { args }).output();
    const { code, left } = await run(page);
    const open = "/dev/iommu was left open with 1 object: IOAS 1.";
    assertEquals([code, left], [0, [open]]); // it relies on its exit

    for (let failNth = 1;; failNth++) {
      const { failed, code, stderr } = await run(page, [], { failNth });
      if (failed === undefined) break; // there are no more steps
      await t.step(`${failed.name} in ${failed.call}`, () => {
        if (code !== 0) assertStringIncludes(stderr, "page: ");
      });
    }
  },
});
