// SPDX-License-Identifier: GPL-2.0-only

/** Programs that write anything to a device: it goes on, and nothing is left. */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { CopyEngine } from "../../pci/devices/copy_engine.ts";
import { Igb } from "../../pci/devices/igb/igb.ts";
import { NvmeDrive } from "../../pci/devices/nvme/nvme.ts";
import type { PciDevice } from "../../pci/device.ts";
import { VFIO_DEVICE_RESET } from "../../uapi/mod.ts";
import { Bench, IOVA } from "../testing/bench.ts";

const DEVICES: readonly (() => PciDevice)[] = [
  () => new CopyEngine(),
  () => new Igb(),
  () => new NvmeDrive(2 ** 20),
];

/** Numbers that repeat from run to run (a xorshift). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A value that is more often one that means something. */
function value(random: (below: number) => number): number {
  switch (random(4)) {
    case 0:
      return IOVA + random(0x10000);
    case 1:
      return 2 ** random(32);
    case 2:
      return random(256);
    default:
      return random(2 ** 32);
  }
}

describe("a device that is written to at random", () => {
  for (const [seed, make] of DEVICES.entries()) {
    it(`comes to an end each time: ${make().constructor.name}`, () => {
      const bench = new Bench(make());
      const { pci } = bench.device;
      const random = numbers(seed + 1);
      const { size } = pci.device.bars[0]!;
      for (let i = 0; i < 3000; i++) {
        const count = 2 ** random(4);
        const at = random(size / count) * count;
        // Most registers of all three are in the first pages.
        bench.store(
          0,
          random(4) ? at % 0x5000 % size : at,
          count,
          value(random),
        );
        if (random(100) === 0) {
          bench.call(bench.fd, VFIO_DEVICE_RESET, new Uint8Array(0));
          bench.store(7, 4, 2, 7);
        }
      }
      bench.end();
    });
  }

  it("has a configuration space that takes anything", () => {
    const bench = new Bench(new Igb());
    const random = numbers(7);
    for (let i = 0; i < 5000; i++) {
      const count = [1, 2, 4][random(3)]!;
      const at = random(random(2) ? 256 / count : 4096 / count) * count;
      bench.store(7, at, count, value(random));
    }
    assert(bench.load(7, 0, 4) === 0x10c98086);
    assertEquals(bench.device.core.irqs.mode, undefined);
    bench.end();
  });
});
