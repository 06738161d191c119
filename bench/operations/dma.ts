// SPDX-License-Identifier: GPL-2.0-only

/**
 * What devices move by themselves: the copy engine, as a program has it copy.
 *
 * @module
 */

import { CopyEngine } from "../../impl/pci/devices/copy_engine.ts";
import { VFIO_PCI_OFFSET_SHIFT } from "../../impl/uapi/vfio/device.ts";
import { bound } from "../../selftests/kit_vfio/vfio_ioctls.ts";
import { call } from "../../selftests/target/verbs.ts";
import { rwFloor } from "../measuring/floor.ts";
import type { Machine } from "../measuring/machine.ts";
import { alike, measured, type Scenario } from "../measuring/scenario.ts";
import { step } from "../measuring/steps.ts";
import { callsOf, IOVA, KIB, MIB, pagesOf } from "./sizes.ts";

/** Lengths to copy. */
const DMA_LENGTHS = [4 * KIB, 64 * KIB, MIB, 16 * MIB];
/** Where the configuration space of a device is in its file, and the command register in that. */
const CONFIG = 7 * 2 ** VFIO_PCI_OFFSET_SHIFT;
const COMMAND = CONFIG + 4;
/** Registers of the copy engine. */
const ENGINE = { command: 0x08, source: 0x10, target: 0x18, length: 0x20 };

/** The group. */
export function dmaScenarios(): Scenario[] {
  return DMA_LENGTHS.map(copyScenario);
}

/** Has the same bytes copied again and again. */
function copyScenario(length: number): Scenario {
  const calls = callsOf(length);
  return {
    group: "dma",
    operations: alike({ copy: "DMA of the copy engine" }, {
      size: { value: length, unit: "bytes" },
      calls,
      pages: pagesOf(length),
    }),
    async prepare(machine: Machine) {
      const { io, kernel } = machine;
      kernel.addPciDevice(new CopyEngine());
      const { device } = await bound(io);
      const { fd } = device;
      const address = await machine.memory(2 * length);
      const ioasId = await io.ioasAlloc();
      await device.attach(ioasId);
      await io.mapFixed(ioasId, address, 2 * length, IOVA);
      const store = (at: number, ...words: number[]) =>
        call("pwrite", fd, new Uint8Array(Uint32Array.from(words).buffer), at);
      const iova = Number(IOVA);
      return [
        {
          steps: [
            step(store(COMMAND, 6), 4),
            step(store(ENGINE.source, iova, 0), 8),
            step(store(ENGINE.target, iova + length, 0), 8),
            step(store(ENGINE.length, length), 4),
          ],
        },
        measured("copy", step(store(ENGINE.command, 1), 4, calls)),
      ];
    },
    floor: () => ({ copy: rwFloor(length, calls) }),
  };
}
