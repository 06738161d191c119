// SPDX-License-Identifier: GPL-2.0-only

/** Programs that do anything with VFIO's files: the kernel goes on, and nothing is left. */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../kernel.ts";
import { CopyEngine } from "../pci/devices/copy_engine.ts";
import { Igb } from "../pci/devices/igb/igb.ts";
import { NvmeDrive } from "../pci/devices/nvme/nvme.ts";
import { HostileProgram } from "./testing/hostile_program.ts";
import { numbers } from "./testing/random.ts";

const SEEDS = 30;
const STEPS = 600;

/** A machine with devices of all kinds, two of them in one group. */
function machine(vfioContainer: "iommufd" | "type1"): Kernel {
  const kernel = new Kernel({ vfioContainer });
  const { pci } = kernel.addPciDevice(new CopyEngine({ pri: true, vfs: 3 }));
  kernel.addPciDevice(new Igb());
  kernel.addPciDevice(new NvmeDrive(2 ** 20), {
    address: "0000:01:00.0",
    groupWith: pci,
  });
  return kernel;
}

for (const container of ["iommufd", "type1"] as const) {
  describe(`hostile programs, with a container of ${container}`, () => {
    it("leave nothing, whatever they do and close", () => {
      let succeeded = 0;
      for (let seed = 1; seed <= SEEDS; seed++) {
        const kernel = machine(container);
        const random = numbers(seed);
        const programs = [1, 2].map(() => new HostileProgram(kernel, random));
        for (let i = 0; i < STEPS; i++) programs[random(2)]!.step();
        for (const program of programs) {
          succeeded += program.succeeded;
          if (random(2) === 0) program.end();
          else program.kill();
        }
        assertEquals(kernel.audit(), [], `seed ${seed}`);
      }
      // They get far enough to do harm.
      assert(succeeded > SEEDS * STEPS / 50, `${succeeded} calls`);
    });
  });
}
