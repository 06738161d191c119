// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { after, describe, it } from "@std/testing/bdd";
import { NvmeDrive } from "../../impl/pci/devices/nvme/nvme.ts";
import { hostKernel, run, start } from "../mod.ts";
import { buildProgram } from "../testing/build.ts";
import { cannotRun } from "../testing/real_programs.ts";

const folder = Deno.makeTempDirSync();
const source = new URL("driver.c", import.meta.url);
const program = cannotRun === false ? buildProgram(source, folder) : undefined;
const skip = cannotRun || (program === undefined && "there is no C compiler");

/** What the program does to a drive, and what that shows. */
const WAYS = {
  bad_iova: "fails a command whose data it does not reach, and no other",
  unmap_in_flight: "answers all commands while memory is unmapped",
  bad_queue: "says that it does not reach a queue, until it is turned off",
  reset_in_flight: "can be reset while it works",
  turned_off: "can be turned off while it works, and on again",
  wild: "works after a reset whatever was stored in its registers",
  leave: "is free again when a program ends while it works",
} as const;

/** A machine with a drive. */
function machine() {
  const kernel = hostKernel();
  kernel.addPciDevice(new NvmeDrive(2 ** 24));
  return kernel;
}

describe("a drive that a program drives by itself", { skip }, () => {
  after(() => Deno.removeSync(folder, { recursive: true }));
  for (const [way, rule] of Object.entries(WAYS)) {
    it(rule, async () => {
      const kernel = machine();
      for (const each of [way, "works"]) {
        const { code, stderr } = await run(program!, [each], { kernel });
        assertEquals({ code, stderr }, { code: 0, stderr: "" });
        assertEquals(kernel.audit(), []);
      }
    });
  }

  it("is free again when a program is killed while it works", async () => {
    const kernel = machine();
    const running = start(program!, ["killed"], { kernel, stdout: "piped" });
    const reader = running.stdout.getReader();
    await reader.read();
    running.kill("SIGKILL");
    while (!(await reader.read()).done);
    assertEquals((await running.status).signal, "SIGKILL");
    assertEquals(kernel.audit(), []);
    const { code, stderr } = await run(program!, ["works"], { kernel });
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
  });
});
