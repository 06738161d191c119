// SPDX-License-Identifier: GPL-2.0-only

/** Real programs that do anything with devices: the kernel goes on, and nothing is left. */

import { assert, assertEquals } from "@std/assert";
import { after, describe, it } from "@std/testing/bdd";
import type { PciDevice } from "../../../impl/pci/device.ts";
import { CopyEngine } from "../../../impl/pci/devices/copy_engine.ts";
import { Igb } from "../../../impl/pci/devices/igb/igb.ts";
import { Ioat } from "../../../impl/pci/devices/ioat.ts";
import { NvmeDrive } from "../../../impl/pci/devices/nvme/nvme.ts";
import { hostKernel } from "../../mod.ts";
import { run } from "../../run/run.ts";
import { buildProgram } from "../build.ts";
import { cannotRun } from "../real_programs.ts";

const source = new URL("hostile.c", import.meta.url);
const folder = Deno.makeTempDirSync();
const program = cannotRun === false
  ? buildProgram(source, folder, "-pthread")
  : undefined;
const skip = cannotRun || (program === undefined && "there is no C compiler");
/** One of three is killed, one closes what it has while it is in use. */
const SEEDS = [1, 2, 3];

const DEVICES: readonly [name: string, make: () => PciDevice][] = [
  ["a copy engine", () => new CopyEngine({ pri: true })],
  ["an 82576", () => new Igb()],
  ["a drive", () => new NvmeDrive(2 ** 20)],
  ["an engine of I/OAT", () => new Ioat()],
];

describe("a hostile program", { skip }, () => {
  after(() => Deno.removeSync(folder, { recursive: true }));

  for (const [name, make] of DEVICES) {
    it(`leaves nothing of ${name}`, async () => {
      for (const seed of SEEDS) {
        const kernel = hostKernel();
        const { index } = kernel.addPciDevice(make());
        const args = [`/dev/vfio/devices/vfio${index}`, String(seed)];
        const { code, stderr } = await run(program!, args, { kernel });
        assertEquals(stderr, "", `seed ${seed}`);
        assert(code === (seed % 3 === 0 ? 137 : 0), `seed ${seed}: ${code}`);
        assertEquals(kernel.audit(), [], `seed ${seed}`);
      }
    });
  }
});
