// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { after, describe, it } from "@std/testing/bdd";
import { CopyEngine } from "../../../impl/pci/devices/copy_engine.ts";
import { hostKernel, run } from "../../mod.ts";
import { buildProgram } from "../build.ts";
import { cannotRun } from "../real_programs.ts";

const folder = Deno.makeTempDirSync();
const source = new URL("device.c", import.meta.url);
const program = cannotRun === false ? buildProgram(source, folder) : undefined;
const skip = cannotRun || (program === undefined && "there is no C compiler");

/** What the program is told, and what that shows. */
const WAYS = {
  polls: "sees what is stored in a BAR that is mapped",
  interrupt: "signals eventfds of the program, also when it has closed them",
  full_eventfd: "does not wait for room in an eventfd",
  no_eventfd: "takes eventfds alone",
  before_a_call: "sees first what was stored before a call",
  doorbell: "waits for eventfds that write",
  memory_off: "raises a bus error while its memory is off",
  low_power: "tells an eventfd that its power is back",
  child: "is there as long as anybody has it mapped",
  bar_as_target: "has BARs that are mapped for DMA from where they are mapped",
} as const;

describe("a device that a real program uses", { skip }, () => {
  after(() => Deno.removeSync(folder, { recursive: true }));
  for (const [way, rule] of Object.entries(WAYS)) {
    it(rule, async () => {
      const kernel = hostKernel();
      kernel.addPciDevice(new CopyEngine());
      const { code, stderr } = await run(program!, [way], { kernel });
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      assertEquals(kernel.audit(), []);
    });
  }
});
