// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes } from "@std/assert";
import { run } from "@iommufd/kit/host";

const FOLDER = new URL("programs/", import.meta.url).pathname;

/** Compiles a program of the folder; undefined where there is no compiler. */
async function compile(name: string): Promise<string | undefined> {
  const program = `${await Deno.makeTempDir()}/${name}`;
  try {
    const args = ["-o", program, `${FOLDER}${name}.c`];
    const { success } = await new Deno.Command("cc", { args }).output();
    return success ? program : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

Deno.test("the client in Python maps memory and unmaps it", async () => {
  const { code, stdout, left } = await run("python3", [`${FOLDER}client.py`]);
  assertStringIncludes(stdout, "16384 bytes are unmapped\n");
  assertStringIncludes(stdout, "once more: No such file or directory\n");
  assertEquals(code, 0);
  assertEquals(left, []); // it closes what it opened
});

Deno.test("the client in C says what failed, whatever that is", async (t) => {
  const program = await compile("page");
  if (program === undefined) return; // there is no compiler
  const whole = await run(program);
  assertEquals([whole.code, whole.signal], [0, null]);
  assertEquals(whole.left, ["/dev/iommu was left open with 1 object: IOAS 1."]);
  for (let failNth = 1;; failNth++) {
    const { failed, code, stderr } = await run(program, [], { failNth });
    if (failed === undefined) break; // there are no more steps
    await t.step(`${failed.name} in ${failed.call}`, () => {
      if (code !== 0) assertStringIncludes(stderr, "page: ");
    });
  }
  await Deno.remove(program);
});
