// SPDX-License-Identifier: GPL-2.0-only

/** Programs in other languages, as they are, on the model. */

import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { isThere, run } from "../../conformance/linux_vm/programs.ts";

const HERE = decodeURIComponent(new URL("./", import.meta.url).pathname);
const COMMAND = `${HERE}../../host/command.ts`;
const NO_COMPILER = !await isThere("gcc") && "there is no compiler";
const NO_PYTHON = !await isThere("python3") && "there is no Python";
const HAS_IOMMUFD = await isThere("/dev/iommu") &&
  "this machine has an iommufd of its own";

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function start(
  program: string,
  args: readonly string[],
): Promise<Outcome> {
  const { code, ...said } = await new Deno.Command(program, {
    args: [...args],
    stdin: "null",
  }).output();
  const [stdout, stderr] = [said.stdout, said.stderr]
    .map((bytes) => new TextDecoder().decode(bytes));
  return { code, stdout: stdout!, stderr: stderr! };
}

/** Runs a program on the model. */
function onModel(...words: readonly string[]): Promise<Outcome> {
  return start(Deno.execPath(), ["run", "--quiet", "-A", COMMAND, ...words]);
}

/** Compiles an example, and lets `body` have it. */
async function compiled(
  name: string,
  body: (program: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const program = `${folder}/${name}`;
    const flags = ["-Wall", "-Wextra", "-Werror", "-O2", "-pthread"];
    await run("gcc", [...flags, "-o", program, `${HERE}${name}.c`]);
    await body(program);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

describe("a program on the model", () => {
  it(
    "may be of a page of C",
    { skip: NO_COMPILER },
    () =>
      compiled("page", async (program) => {
        assertEquals(await onModel(program), {
          code: 0,
          stdout: "IOAS 1 has the page at 0x1000\n4096 bytes are unmapped\n",
          stderr: "",
        });
      }),
  );

  for (const uapi of ["6.12", "7.3"]) {
    it(
      `may have threads and children, on ${uapi}`,
      { skip: NO_COMPILER },
      () =>
        compiled("threads", async (program) => {
          assertEquals(await onModel("--uapi", uapi, "--", program), {
            code: 0,
            stdout: "4 threads and 5 children saw their own memory\n",
            stderr: "",
          });
        }),
    );
  }

  it("may be in Python", { skip: NO_PYTHON }, async () => {
    const { code, stdout } = await onModel("python3", `${HERE}client.py`);
    assertMatch(
      stdout,
      /^IOAS 1: 1 range, 0x0 to 0xffffffffffffffff, aligned to 1\n16384 bytes are mapped at 0x\w+\n16384 bytes are unmapped\nonce more: No such file or directory\n$/,
    );
    assertEquals(code, 0);
  });

  it("finds no iommufd without", {
    skip: NO_COMPILER || HAS_IOMMUFD,
  }, () =>
    compiled("page", async (program) => {
      assertEquals(await start(program, []), {
        code: 1,
        stdout: "",
        stderr: "page: /dev/iommu: No such file or directory\n",
      });
    }));
});
