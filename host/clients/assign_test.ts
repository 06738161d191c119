// SPDX-License-Identifier: GPL-2.0-only

/** The calls of monitors that are written in Rust. */

import { assertEquals } from "@std/assert";
import { after, describe, it } from "@std/testing/bdd";
import { Igb } from "../../impl/pci/devices/igb/igb.ts";
import { hostKernel, run } from "../mod.ts";
import { buildProgram } from "../testing/build.ts";
import { cannotRun } from "../testing/real_programs.ts";

const folder = Deno.makeTempDirSync();
const assign = cannotRun !== false ? undefined : buildProgram(
  new URL("assign.c", import.meta.url),
  folder,
);
const skip = cannotRun || assign === undefined && "there is no C compiler";

/** What it tells of an 82576. */
const TOLD = [
  "region 0: size 0x20000 flags 0x7 capability 0",
  "region 1: size 0x20000 flags 0x7 capability 0",
  "region 2: size 0x20 flags 0x3 capability 0",
  "region 3: size 0x4000 flags 0xf capability 3",
  "region 4: size 0 flags 0 capability 0",
  "region 5: size 0 flags 0 capability 0",
  "region 6: size 0 flags 0 capability 0",
  "region 7: size 0x1000 flags 0x3 capability 0",
  "region 8: none",
  "interrupts 0: 1 flags 0x7",
  "interrupts 1: 1 flags 0x9",
  "interrupts 2: 10 flags 0x1",
  "interrupts 3: 1 flags 0x9",
  "interrupts 4: 1 flags 0x9",
  "BAR 0: 0x20000",
  "BAR 1: 0x20000",
  "BAR 2: 0x20",
  "BAR 3: 0x4000",
  "capabilities: 0x1 0x5 0x11 0x10",
  "mapped 0x3000 at 0x1000 of BAR 3",
  "messages: 10, then 0 and 1",
];

describe("a monitor of virtual machines", () => {
  after(() => Deno.removeSync(folder, { recursive: true }));

  for (const [way, how] of [["cdev", "its own file"], ["group", "its group"]]) {
    it(`takes a device through ${how}`, { skip }, async () => {
      const kernel = hostKernel();
      const { pci } = kernel.addPciDevice(new Igb());
      const { code, stdout, stderr } = await run(assign!, [pci.name, way!], {
        kernel,
      });
      assertEquals([code, stderr], [0, ""]);
      assertEquals(stdout.trimEnd().split("\n"), TOLD);
      assertEquals(kernel.audit(), []);
    });
  }
});
