// SPDX-License-Identifier: GPL-2.0-only

/** The adapters to begin with speak the protocol: check-adapter finds nothing wrong with them. */

import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { checkAdapter } from "../../conformance/check_adapter/check_adapter.ts";
import { isThere, output } from "../../conformance/linux_vm/programs.ts";
import { spawnConnection } from "../../conformance/protocol/stdio.ts";

const HERE = decodeURIComponent(new URL("./", import.meta.url).pathname);
const RUN = new URL("../../host/command.ts", import.meta.url).href;
const FUZZ = new URL("../../conformance/fuzz.ts", import.meta.url).href;
const NO_COMPILER = !await isThere("gcc") && "there is no compiler";
// The adapter's words are those of this version on.
const ENOUGH = "import sys; sys.exit(sys.version_info < (3, 10))";
const NO_PYTHON = !(await output("python3", ["-c", ENOUGH])).success &&
  "there is no Python 3.10";

/** How many checks an adapter passes that has no capability; it fails none. */
async function checked(command: string, args: string[]): Promise<number> {
  const wrong: string[] = [];
  let good = 0;
  const connect = () => Promise.resolve(spawnConnection(command, args));
  for await (const { name, status, message } of checkAdapter(connect)) {
    if (status === "wrong") wrong.push(`${name}: ${message}`);
    if (status === "ok") good++;
  }
  assertEquals(wrong, []);
  return good;
}

describe("an adapter to begin with", () => {
  it(
    "may be in Python, with a toy of an iommufd",
    { skip: NO_PYTHON },
    async () => {
      assertEquals(await checked("python3", [`${HERE}adapter.py`]), 32);
    },
  );

  it(
    "survives random programs that nothing is compared with",
    { skip: NO_PYTHON },
    async () => {
      const target = `stdio:python3 '${HERE}adapter.py'`;
      const args = ["--only-invariants", "--count", "30", "--seed", "1"];
      const fuzz = ["run", "-A", FUZZ, "--target", target, ...args];
      const { success, stdout } = await output(Deno.execPath(), fuzz);
      const out = new TextDecoder().decode(stdout);
      assertEquals(success, true, out);
      assertMatch(out, /^programs +30$/m);
      assertMatch(out, /^findings +0$/m);
    },
  );

  it(
    "may be in C, on any kernel: here it is the model",
    { skip: NO_COMPILER },
    async () => {
      const folder = await Deno.makeTempDir();
      try {
        const adapter = `${folder}/adapter`;
        const flags = ["-Wall", "-Wextra", "-Werror", "-o", adapter];
        const built = await output("gcc", [...flags, `${HERE}adapter.c`]);
        assertEquals(new TextDecoder().decode(built.stderr), "");
        const args = ["run", "-A", RUN, "--", adapter];
        assertEquals(await checked(Deno.execPath(), args), 32);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  );

  it("is short enough to be read", () => {
    for (
      const name of ["adapter.py", "toy_iommufd.py", "adapter.c", "calls.h"]
    ) {
      const lines = Deno.readTextFileSync(HERE + name).split("\n").length;
      assertEquals(lines < 300, true, name);
    }
  });
});
