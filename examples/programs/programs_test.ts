// SPDX-License-Identifier: GPL-2.0-only

/** Programs in other languages, as they are, on the model and without it. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { CopyEngine } from "@iommufd/kit";
import { hostKernel, run, type RunResult } from "@iommufd/kit/host";
import type { RevisionName } from "../../impl/uapi/revision.ts";
import { isThere, output } from "../../conformance/linux_vm/programs.ts";

const HERE = decodeURIComponent(new URL("./", import.meta.url).pathname);
const NO_COMPILER = !await isThere("gcc") && "there is no compiler";
const NO_PYTHON = !await isThere("python3") && "there is no Python";
// Deno itself looks at no device without all rights.
const HAS_IOMMUFD = (await output("ls", ["/dev/iommu"])).success &&
  "this machine has an iommufd of its own";

/** Compiles an example, and lets `body` have it. */
async function compiled(
  name: string,
  body: (program: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const program = `${folder}/${name}`;
    const flags = ["-Wall", "-Wextra", "-Werror", "-O2", "-pthread"];
    const args = [...flags, "-o", program, `${HERE}${name}.c`];
    const { success, stderr } = await output("gcc", args);
    assertEquals(success, true, new TextDecoder().decode(stderr));
    await body(program);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs a program on the model; the kernel is well afterwards. */
async function onModel(
  revision: RevisionName,
  program: string,
  args: readonly string[] = [],
): Promise<Pick<RunResult, "code" | "stdout" | "stderr">> {
  const kernel = hostKernel({ revision });
  const { code, stdout, stderr } = await run(program, args, { kernel });
  assertEquals(kernel.audit(), []);
  return { code, stdout, stderr };
}

describe("a program on the model", () => {
  for (const revision of ["6.12", "7.3"] as const) {
    it(
      `may be of a page of C, on ${revision}`,
      { skip: NO_COMPILER },
      () =>
        compiled("page", async (program) => {
          assertEquals(await onModel(revision, program), {
            code: 0,
            stdout: "IOAS 1 has the page at 0x1000\n4096 bytes are unmapped\n",
            stderr: "",
          });
        }),
    );

    it(`may have threads and children, on ${revision}`, {
      skip: NO_COMPILER,
    }, () =>
      compiled("threads", async (program) => {
        assertEquals(await onModel(revision, program), {
          code: 0,
          stdout: "4 threads and 5 children saw their own memory\n",
          stderr: "",
        });
      }));

    it(`may have a device that does DMA, on ${revision}`, {
      skip: NO_COMPILER,
    }, () =>
      compiled("copy", async (program) => {
        const kernel = hostKernel({ revision });
        kernel.addPciDevice(new CopyEngine());
        const { code, stdout } = await run(program, [], { kernel });
        const text = "hello, status 1, interrupts: 1\n";
        assertEquals([code, stdout], [0, text]);
        assertEquals(kernel.audit(), []);
      }));

    it(`may be in Python, on ${revision}`, { skip: NO_PYTHON }, async () => {
      const args = [`${HERE}client.py`];
      const { code, stdout } = await onModel(revision, "python3", args);
      assertEquals(stdout.replace(/at 0x\w+/, "at IOVA"), PYTHON_SAYS);
      assertEquals(code, 0);
    });
  }
});

const PYTHON_SAYS = `IOAS 1: 1 range, 0x0 to 0xffffffffffffffff, aligned to 1
16384 bytes are mapped at IOVA
16384 bytes are unmapped
once more: No such file or directory
`;

describe("a program without the model", () => {
  it(
    "finds no iommufd",
    { skip: NO_COMPILER || HAS_IOMMUFD },
    () =>
      compiled("page", async (program) => {
        const { code, stderr } = await output(program, []);
        assertEquals(code, 1);
        assertEquals(
          new TextDecoder().decode(stderr),
          "page: /dev/iommu: No such file or directory\n",
        );
      }),
  );
});

const QEMU = "qemu-system-x86_64";
const NO_QEMU = !await isThere(QEMU) && "there is no QEMU";

describe("QEMU on the model", () => {
  it("finds VFIO's container, and no device", { skip: NO_QEMU }, async () => {
    const calls: string[] = [];
    const log = (line: string) => void calls.push(line);
    const machine = [
      "-machine",
      "none",
      "-display",
      "none",
      "-monitor",
      "none",
    ];
    const drive = ["-drive", "file=nvme://0000:00:04.0/1,if=none,id=drive"];
    const { code, stderr } = await run(QEMU, [...machine, ...drive], { log });
    assertStringIncludes(stderr, "Failed to find iommu group");
    assertEquals(code, 1);
    const ioctls = calls.map((line) => /ioctl\(.*, (VFIO_\w+)/.exec(line)?.[1]);
    assertEquals(ioctls.filter((name) => name !== undefined), [
      "VFIO_GET_API_VERSION",
      "VFIO_CHECK_EXTENSION",
    ]);
  });
});
