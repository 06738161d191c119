// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Igb } from "../../pci/devices/igb/igb.ts";
import { VFIO_PCI_MSIX_IRQ_INDEX } from "../../uapi/vfio/device.ts";
import { Bench, bytesOf } from "../testing/bench.ts";

/** Registers of interrupts: causes that are set, what is let through, the causes. */
const [EICS, EIMS, EICR] = [0x1520, 0x1524, 0x1580];

describe("an 82576 whose registers are looked at", () => {
  it("forgets a cause before it lets causes through, if one look finds both", () => {
    const bench = new Bench(new Igb());
    const { device } = bench.device.pci;
    const eventfd = bench.eventfd();
    bench.connect(VFIO_PCI_MSIX_IRQ_INDEX, [eventfd]);
    bench.store(0, EICS, 4, 1);
    const { memory } = device.bars[0]!;
    memory!.write(EICR, bytesOf(2 ** 32 - 1));
    memory!.write(EIMS, bytesOf(1));
    assertEquals(device.poll(), true);
    assertEquals(bench.counted(eventfd), 0);
    memory!.write(EICS, bytesOf(1));
    device.poll();
    assertEquals(bench.counted(eventfd), 1);
    bench.end();
  });
});
