// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../kernel.ts";
import { CopyEngine } from "../pci/devices/copy_engine.ts";
import { Igb } from "../pci/devices/igb/igb.ts";
import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "../uapi/mman.ts";
import { IommufdClient } from "./client.ts";
import { IommufdError } from "./error.ts";
import { VfioDevice } from "./vfio_device.ts";
import { VfioGroup } from "./vfio_group.ts";

const TOKEN = "52ac9bff-3a88-4fbd-901a-0d767c3b6c97";
const OTHER = "88594674-90a0-47a9-aea8-9d9b352ac08a";

/** A call throws an error that tells these words. */
function fails(call: () => unknown, ...words: string[]): void {
  const { message } = assertThrows(call, IommufdError);
  for (const word of words) assert(message.includes(word), message);
}

for (const container of ["type1", "iommufd"] as const) {
  describe(`a client of a group, with a container of ${container}'s`, () => {
    function bench() {
      const kernel = new Kernel({ vfioContainer: container });
      const { pci } = kernel.addPciDevice(new CopyEngine());
      const process = kernel.spawn();
      const group = VfioGroup.open(process, pci.group!.id);
      const io = IommufdClient.open(process, "/dev/vfio/vfio");
      return { kernel, pci, process, group, io };
    }

    it("opens a device, and maps for it", () => {
      const { kernel, pci, process, group, io } = bench();
      assertEquals(group.status(), { isViable: true, hasContainer: false });
      group.setContainer(io);
      io.vfio.setIommu(3);
      assertEquals(group.status(), { isViable: true, hasContainer: true });
      const device = group.device(pci.name);
      const prot = PROT_READ | PROT_WRITE;
      const memory = process.mmap(0, 8192, prot, MAP_SHARED | MAP_ANONYMOUS);
      io.vfio.mapDma({ vaddr: memory, iova: 0x10000, length: 8192 });
      process.poke(memory, new TextEncoder().encode("hello"));
      device.setBusMaster(true);
      device.store(0, 0x10, 0x10000, 8);
      device.store(0, 0x18, 0x11000, 8);
      device.store(0, 0x20, 5);
      device.store(0, 0x08, 1);
      const copied = process.peek(memory + 4096, 5);
      assertEquals(new TextDecoder().decode(copied), "hello");
      device.close();
      group.unsetContainer();
      group.close();
      io.close();
      process.exit();
      assertEquals(kernel.audit(), []);
    });

    it("says why something failed", () => {
      const { process, group, io, pci } = bench();
      fails(() => VfioGroup.open(process, pci.group!.id), "open", "EBUSY");
      fails(() => VfioGroup.open(process, 77), "/dev/vfio/77", "ENOENT");
      fails(() => group.device(pci.name), "GET_DEVICE_FD", pci.name);
      fails(() => group.unsetContainer(), "UNSET_CONTAINER", "EINVAL");
      fails(() => group.setContainer(group), "SET_CONTAINER", "EBADFD");
      group.setContainer(io);
      io.vfio.setIommu(3);
      fails(() => group.device("0000:00:09.0"), "0000:00:09.0", "ENODEV");
    });
  });
}

describe("a client of a device with virtual functions", () => {
  it("binds with tokens, and sets others", () => {
    const kernel = new Kernel();
    const { pci } = kernel.addPciDevice(new Igb());
    const process = kernel.spawn();
    using io = IommufdClient.open(process);
    using device = VfioDevice.open(process);
    device.bind(io, { token: TOKEN });
    pci.sriov!.setNumVfs(1);
    using virtual = VfioDevice.open(process, "/dev/vfio/devices/vfio1");
    fails(() => virtual.bind(io), "BIND", "EACCES");
    fails(() => virtual.bind(io, { token: OTHER }), "EACCES");
    device.features.setToken(OTHER);
    virtual.bind(io, { token: OTHER });
    assertThrows(() => device.features.setToken("12"), TypeError, "no UUID");
  });
});

describe("a client's rarer methods", () => {
  function bench() {
    const kernel = new Kernel();
    kernel.addPciDevice(new Igb(), { address: "0000:01:00.0" });
    const process = kernel.spawn();
    const io = IommufdClient.open(process);
    const device = VfioDevice.open(process);
    const { devId } = device.bind(io);
    const eventfd = process.eventfd(0, 0);
    const signal = () =>
      process.write(eventfd, Uint8Array.of(1, ...Array(7).fill(0)));
    return { kernel, process, io, device, devId, eventfd, signal };
  }

  it("resets a bus", () => {
    const { device, devId } = bench();
    assertEquals(device.hotResetInfo(), {
      flags: 3,
      devices: [{ devid: devId, segment: 0, bus: 1, devfn: 0 }],
    });
    device.store(0, 0x2808, 0x1000);
    device.hotReset();
    assertEquals(device.load(0, 0x2808), 0);
    fails(() => device.hotReset([device]), "HOT_RESET", "EINVAL");
  });

  it("has eventfds that write, and that unmask", () => {
    const { device, eventfd, signal } = bench();
    const store = { index: 0, offset: 0x2808, value: 0x800 };
    device.ioeventfd(store, eventfd);
    fails(() => device.ioeventfd(store, eventfd), "IOEVENTFD", "EEXIST");
    signal();
    assertEquals(device.load(0, 0x2808), 0x800);
    device.ioeventfd(store, -1);
    fails(() => device.ioeventfd({ ...store, count: 3 }, eventfd), "EINVAL");
    fails(() => device.unmaskBy(eventfd), "SET_IRQS", "EINVAL");
    device.connect({ index: 0 }, [eventfd]);
    device.unmaskBy(eventfd);
    fails(() => device.unmaskBy(eventfd), "EBUSY");
    device.unmaskBy(-1);
  });

  it("uses features", () => {
    const { process, io, device, eventfd } = bench();
    const { features } = device;
    assertEquals(features.has(3 | 1 << 17), true);
    assertEquals(features.has(3 | 1 << 16), false);
    features.enterLowPower();
    fails(() => features.enterLowPower(), "FEATURE", "EINVAL");
    features.exitLowPower();
    features.enterLowPower({ wakeup: eventfd });
    device.info();
    const bytes = new Uint8Array(8);
    assertEquals([process.read(eventfd, bytes), bytes[0]], [8, 1]);
    features.exitLowPower();
    const fd = features.exportDmaBuf(0, [{ length: 8192 }]);
    const { ioasId } = io.ioasAlloc();
    device.attach({ ptId: ioasId });
    io.ioasMapFile({ ioasId, fd, length: 8192 });
    fails(() => features.exportDmaBuf(0, [{ length: 100 }]), "EINVAL");
    fails(() => features.exportDmaBuf(5, [{ length: 4096 }]), "ENODEV");
  });
});
