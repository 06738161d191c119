// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IommufdClient } from "../client/client.ts";
import { VfioDevice } from "../client/vfio_device.ts";
import { Kernel } from "../kernel.ts";
import type { Iova } from "../lib/brands.ts";
import type { PciIommuOps } from "../pci/iommu.ts";
import { Igb } from "../pci/devices/igb/igb.ts";
import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "../uapi/mman.ts";
import { inspect } from "./inspect.ts";

/** The lines about the device. */
function device(kernel: Kernel): string[] {
  const lines = inspect(kernel).split("\n");
  const first = lines.findIndex((line) => line.startsWith("vfio0"));
  const end = lines.indexOf("", first);
  return lines.slice(first, end < 0 ? lines.length : end);
}

describe("a drawing of a PCI device", () => {
  it("shows who has it, what it has and what it reaches", () => {
    const kernel = new Kernel();
    kernel.addPciDevice(new Igb());
    assertEquals(device(kernel), [
      "vfio0: 0000:00:04.0, 8086:10c9, group 0, not open",
      "  BAR 0  memory  128 KiB  at 0x400c0000000",
      "  BAR 1  memory  128 KiB  at 0x400c0020000",
      "  BAR 2  ports   32 B     at 0x4000000c000",
      "  BAR 3  memory  16 KiB   at 0x400c0040000",
      "  DMA: a domain, 0 B in 0 IO pages, bus mastering is off",
    ]);
    const process = kernel.spawn();
    const iommufd = IommufdClient.open(process);
    const vfio = VfioDevice.open(process);
    vfio.bind(iommufd);
    vfio.setBusMaster(true);
    vfio.store(7, 4, 5, 2);
    const last = () =>
      device(kernel).filter((line) => !line.startsWith("    ")).slice(-2);
    assertEquals(
      device(kernel)[1],
      "  BAR 0  memory  128 KiB  at 0x400c0000000  off",
    );
    assertEquals(last(), ["  interrupts: off", "  DMA: blocked"]);
    const { ioasId } = iommufd.ioasAlloc();
    const flags = MAP_SHARED | MAP_ANONYMOUS;
    const userVa = process.mmap(0, 8192, PROT_READ | PROT_WRITE, flags);
    iommufd.ioasMap({ ioasId, userVa, length: 8192 });
    vfio.attach({ ptId: ioasId });
    vfio.connect({ index: 2 }, [-1]);
    assertEquals(last(), [
      "  interrupts: MSI-X, no vectors",
      "  DMA: HWPT 3, 8 KiB in 2 IO pages",
    ]);
    assertEquals(
      device(kernel).slice(-2).map((line) => line.replace(/\d+$/, "N")),
      [
        "    0x0000000000001000-0x0000000000001fff  -> frame N",
        "    0x0000000000002000-0x0000000000002fff  -> frame N",
      ],
    );
    const eventfd = process.eventfd(0, 0);
    vfio.connect({ index: 2, start: 3 }, [eventfd, eventfd]);
    assertEquals(last()[0], "  interrupts: MSI-X, vectors 3, 4");
    vfio.disconnect(2);
    vfio.connect({ index: 0 }, [eventfd]);
    assertEquals(last()[0], "  interrupts: INTx, on");
    vfio.mask();
    assertEquals(last()[0], "  interrupts: INTx, masked");
    assertEquals(device(kernel)[0]!.endsWith("device 1"), true);
  });

  it("shows BARs that DMA reaches, what goes on as one, and the ends of much", () => {
    const kernel = new Kernel();
    const { pci } = kernel.addPciDevice(new Igb());
    const ops = pci.ops as PciIommuOps;
    const domain = ops.domainAllocPaging();
    const map = (iova: number, paddr: number) =>
      domain.pageTable.map(iova as Iova, paddr, 4096, 3);
    map(0, 8192);
    map(4096, 12288);
    map(0x10000, pci.barAddresses[3]!);
    map(0x20000, 2 ** 43);
    pci.translations.set(9, domain);
    const ranges = () =>
      device(kernel).slice(-9).filter((line) => line.startsWith("    "));
    assertEquals(ranges(), [
      "    0x0000000000000000-0x0000000000001fff  -> frames 2-3",
      "    0x0000000000010000-0x0000000000010fff  -> BAR 3 of 0000:00:04.0",
      "    0x0000000000020000-0x0000000000020fff  -> address 0x80000000000",
    ]);
    for (let i = 3; i < 10; i++) map(i * 0x10000, 0);
    assertEquals(ranges()[4], "    … 2 ranges");
    assertEquals(ranges().length, 9);
  });
});
