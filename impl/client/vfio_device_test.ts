// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../kernel.ts";
import { CopyEngine } from "../pci/devices/copy_engine.ts";
import { Igb } from "../pci/devices/igb/igb.ts";
import type { PciDevice } from "../pci/device.ts";
import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "../uapi/mman.ts";
import { VfioIrqInfo } from "../uapi/vfio/device.ts";
import { IommufdClient } from "./client.ts";
import { IommufdError } from "./error.ts";
import { VfioDevice } from "./vfio_device.ts";

const MSIX = 2;
const INTX = 0;

function bench(device: PciDevice = new CopyEngine()) {
  const kernel = new Kernel();
  const { pci } = kernel.addPciDevice(device);
  const process = kernel.spawn();
  const iommufd = IommufdClient.open(process);
  const vfio = VfioDevice.open(process);
  const eventfd = process.eventfd(0, 0);
  const counted = (): number => {
    const bytes = new Uint8Array(8);
    return process.read(eventfd, bytes) === 8 ? bytes[0]! : 0;
  };
  const end = () => {
    vfio.close();
    iommufd.close();
    process.exit();
    assertEquals(kernel.audit(), []);
  };
  return { kernel, pci, process, iommufd, vfio, eventfd, counted, end };
}

describe("a client of a VFIO device", () => {
  it("binds, attaches and lets it do DMA", () => {
    const { process, iommufd, vfio, eventfd, counted, end } = bench();
    assertEquals(vfio.bind(iommufd), { devId: 1 });
    const { ioasId } = iommufd.ioasAlloc();
    const { hwptId } = vfio.attach({ ptId: ioasId });
    assertEquals(vfio.attach({ ptId: hwptId }), { hwptId });
    const flags = MAP_SHARED | MAP_ANONYMOUS;
    const userVa = process.mmap(0, 8192, PROT_READ | PROT_WRITE, flags);
    const { iova } = iommufd.ioasMap({ ioasId, userVa, length: 8192 });
    process.poke(userVa, new TextEncoder().encode("hello"));
    vfio.setBusMaster(true);
    vfio.connect({ index: MSIX, start: 3 }, [eventfd]);
    vfio.store(0, 0x0c, 3);
    vfio.store(0, 0x10, Number(iova), 8);
    vfio.store(0, 0x18, Number(iova) + 4096, 8);
    vfio.store(0, 0x20, 5);
    const bar = vfio.map(0);
    process.poke(bar + 0x08, Uint8Array.of(1, 1, 0, 0));
    assertEquals(vfio.load(0, 0x04), 1);
    assertEquals(
      new TextDecoder().decode(process.peek(userVa + 4096, 5)),
      "hello",
    );
    assertEquals(counted(), 1);
    vfio.trigger({ index: MSIX, start: 3 });
    assertEquals(counted(), 1);
    vfio.disconnect(MSIX);
    vfio.setBusMaster(false);
    vfio.reset();
    assertEquals(vfio.load(0, 0x20), 0);
    vfio.detach();
    process.munmap(bar, 4096);
    end();
  });

  it("tells what the device has", () => {
    const { iommufd, vfio, end } = bench(new Igb());
    vfio.bind(iommufd);
    assertEquals(vfio.info(), { flags: 3, numRegions: 9, numIrqs: 5 });
    assertEquals(vfio.region(1), {
      flags: 7,
      length: 0x20000,
      offset: 2 ** 40,
    });
    assertEquals(vfio.irqs(MSIX), { flags: 1, count: 10 });
    assertEquals(vfio.call(VfioIrqInfo, { index: 1 }).count, 1);
    assertEquals(vfio.read(7, 0, 4), Uint8Array.of(0x86, 0x80, 0xc9, 0x10));
    assertEquals(vfio.write(7, 0x3c, Uint8Array.of(5)), 1);
    assertEquals(vfio.load(7, 0x3c, 1), 5);
    const address = vfio.map(0, { offset: 4096, length: 4096 });
    assertEquals(vfio.process.munmap(address, 4096), 0);
    end();
  });

  it("masks the legacy interrupt", () => {
    const { pci, iommufd, vfio, eventfd, counted, end } = bench();
    vfio.bind(iommufd);
    vfio.connect({ index: INTX }, [eventfd]);
    pci.device.intx = true;
    assertEquals(counted(), 1);
    pci.device.intx = true;
    assertEquals(counted(), 0);
    vfio.unmask();
    assertEquals(counted(), 1);
    pci.device.intx = false;
    vfio.unmask();
    vfio.mask();
    pci.device.intx = true;
    assertEquals(counted(), 0);
    // DisINTx of the command register.
    vfio.store(7, 4, 0x403, 2);
    vfio.unmask();
    assertEquals(counted(), 0);
    vfio.store(7, 4, 3, 2);
    assertEquals(counted(), 1);
    end();
  });

  it("says why a call failed", () => {
    const { iommufd, vfio, end } = bench();
    const fails = (call: () => unknown, ...texts: string[]) => {
      const error = assertThrows(call, IommufdError);
      for (const text of texts) {
        assertEquals(error.message.includes(text), true, error.message);
      }
    };
    fails(() => vfio.info(), "VFIO_DEVICE_GET_INFO", "not bound");
    vfio.bind(iommufd);
    fails(() => vfio.bind(iommufd), "EINVAL", "bound already");
    fails(() => vfio.attach({ ptId: 99 }), "ENOENT", "ptId 99");
    fails(() => vfio.attach({ ptId: 99, pasid: 5 }), "pasid 5");
    fails(() => vfio.region(9), "no such region");
    fails(() => vfio.read(0, 4096, 4), "pread", "beyond the end");
    fails(() => vfio.write(5, 0, new Uint8Array(4)), "pwrite", "EINVAL");
    fails(() => vfio.map(5, { length: 4096 }), "mmap", "cannot be mapped");
    fails(() => vfio.disconnect(MSIX), "not on");
    fails(() => vfio.connect({ index: MSIX }, [99]), "EBADF");
    vfio.detach({ pasid: 5 });
    fails(() => VfioDevice.open(vfio.process, "/dev/vfio/devices/x"), "ENOENT");
    end();
  });
});
