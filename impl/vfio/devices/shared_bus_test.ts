// SPDX-License-Identifier: GPL-2.0-only

/** Several devices: on one bus, in one group, and DMA from one to the other. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../../kernel.ts";
import type { Process } from "../../kernel/simulated/process.ts";
import { MMIO_BASE, type PciPlace } from "../../pci/bus.ts";
import {
  COPY_COMMAND_COPY,
  COPY_STATUS_DONE,
  CopyEngine,
} from "../../pci/devices/copy_engine.ts";
import { PciDevice } from "../../pci/device.ts";
import { errnoName } from "../../uapi/errno.ts";
import { IommuIoasMapFile } from "../../uapi/iommufd.ts";
import {
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FEATURE_DMA_BUF,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
  VFIO_DEVICE_PCI_HOT_RESET,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_SET_CONTAINER,
  VfioDeviceBindIommufd,
  VfioDeviceFeature,
  VfioDeviceFeatureDmaBuf,
  VfioPciDependentDevice,
  VfioPciHotResetInfo,
  VfioRegionDmaRange,
} from "../../uapi/mod.ts";
import type { VfioDevice } from "../device.ts";
import { REGION_STRIDE } from "../pci/regions.ts";
import { Bench, bytesOf, IOVA } from "../testing/bench.ts";

/** A machine with copy engines, and a process. */
function machine(...places: PciPlace[]) {
  const kernel = new Kernel();
  const devices = places.map((place) =>
    kernel.addPciDevice(new CopyEngine(), place)
  );
  const process = kernel.spawn();
  return { kernel, devices, process, iommufd: process.open("/dev/iommu") };
}

function result(ret: number): string {
  return ret >= 0 ? String(ret) : errnoName(ret);
}

/** Opens and binds a device; returns descriptor and result. */
function bind(
  process: Process,
  { index }: VfioDevice,
  iommufd: number,
): [number, string] {
  const fd = process.open(`/dev/vfio/devices/vfio${index}`);
  const bytes = VfioDeviceBindIommufd.encode({ iommufd });
  return [fd, result(process.ioctlStruct(fd, VFIO_DEVICE_BIND_IOMMUFD, bytes))];
}

/** GET_PCI_HOT_RESET_INFO with room for `room` devices. */
function info(process: Process, fd: number, room: number) {
  const { size } = VfioPciDependentDevice;
  const bytes = new Uint8Array(12 + room * size);
  bytes.set(VfioPciHotResetInfo.encode({ argsz: bytes.length }));
  const cmd = VFIO_DEVICE_GET_PCI_HOT_RESET_INFO;
  const ret = result(process.ioctlStruct(fd, cmd, bytes));
  const { flags, count } = VfioPciHotResetInfo.decode(bytes);
  const ids = Array.from({ length: ret === "0" ? count : 0 }, (_, i) => {
    const entry = bytes.subarray(12 + i * size);
    const { devid, bus, devfn } = VfioPciDependentDevice.decode(entry);
    return [devid, bus, devfn];
  });
  return { ret, flags, count, ids };
}

/** PCI_HOT_RESET with groups. */
function hotReset(process: Process, fd: number, ...groups: number[]): string {
  const words = Int32Array.of(
    12 + 4 * groups.length,
    0,
    groups.length,
    ...groups,
  );
  const bytes = new Uint8Array(words.buffer);
  return result(process.ioctlStruct(fd, VFIO_DEVICE_PCI_HOT_RESET, bytes));
}

const BUS1 = [{ address: "0000:01:00.0" }, { address: "0000:01:00.1" }];

describe("devices on one bus", () => {
  it("are reset together, if all are the caller's", () => {
    const { devices, process, iommufd } = machine(...BUS1, {});
    const [first, second, third] = devices as [
      VfioDevice,
      VfioDevice,
      VfioDevice,
    ];
    const [fd] = bind(process, first, iommufd);
    assertEquals(info(process, fd, 1), {
      ret: "ENOSPC",
      flags: 0,
      count: 2,
      ids: [],
    });
    assertEquals(info(process, fd, 2), {
      ret: "0",
      flags: 1,
      count: 2,
      ids: [[1, 1, 0], [0xffffffff, 1, 1]],
    });
    assertEquals(hotReset(process, fd), "EINVAL");
    const [other] = bind(process, second, iommufd);
    assertEquals(info(process, fd, 2).flags, 3);
    assertEquals(info(process, fd, 2).ids[1], [2, 1, 1]);
    const command = 7 * REGION_STRIDE + 4;
    const memory = process.mmap(0, 4096, 3, 0x22);
    process.poke(memory, Uint8Array.of(9, 0, 0, 0));
    assertEquals(process.writeFrom(other, memory, 4, 0x20), 4);
    process.poke(memory, Uint8Array.of(7, 0));
    assertEquals(process.writeFrom(other, memory, 2, command), 2);
    assertEquals(hotReset(process, fd), "0");
    process.readTo(other, memory, 4, 0x20);
    assertEquals(process.peek(memory, 1), Uint8Array.of(0));
    process.readTo(other, memory, 2, command);
    assertEquals(process.peek(memory, 1), Uint8Array.of(7));
    assertEquals(hotReset(process, fd, 3), "EINVAL");
    assertEquals(third.pci.busNumber, 0);
  });

  it("are reset by groups, which are named", () => {
    const { devices, process, iommufd } = machine(...BUS1);
    const memory = process.mmap(0, 4096, 3, 0x22);
    const open = ({ pci }: VfioDevice): [number, number] => {
      const group = process.open(`/dev/vfio/${pci.group!.id}`);
      process.poke(memory, bytesOf(iommufd));
      assertEquals(process.ioctl(group, VFIO_GROUP_SET_CONTAINER, memory), 0);
      process.poke(memory, new TextEncoder().encode(`${pci.name}\0`));
      return [group, process.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, memory)];
    };
    const [one, two] = devices as [VfioDevice, VfioDevice];
    const [group, fd] = open(one);
    const [other] = open(two);
    assertEquals(info(process, fd, 2), {
      ret: "0",
      flags: 0,
      count: 2,
      ids: [[one.pci.group!.id, 1, 0], [two.pci.group!.id, 1, 1]],
    });
    assertEquals(hotReset(process, fd), "EINVAL");
    assertEquals(hotReset(process, fd, group), "EINVAL");
    assertEquals(hotReset(process, fd, group, other, other), "EINVAL");
    assertEquals(hotReset(process, fd, group, 999), "EBADF");
    assertEquals(hotReset(process, fd, group, iommufd), "EINVAL");
    assertEquals(hotReset(process, fd, group, other), "0");
  });
});

describe("devices in one group", () => {
  it("are of one iommufd, and one of them without id is its own", () => {
    const kernel = new Kernel();
    const first = kernel.addPciDevice(new CopyEngine(), BUS1[0]);
    const second = kernel.addPciDevice(new CopyEngine(), {
      ...BUS1[1],
      groupWith: first.pci,
    });
    assertEquals(second.group, first.group);
    const process = kernel.spawn();
    const [a, b] = [process.open("/dev/iommu"), process.open("/dev/iommu")];
    const [fd, ret] = bind(process, first, a);
    assertEquals(ret, "0");
    assertEquals(bind(process, second, b)[1], "EPERM");
    assertEquals(info(process, fd, 2).ids, [[1, 1, 0], [0, 1, 1]]);
    assertEquals([info(process, fd, 2).flags, hotReset(process, fd)], [3, "0"]);
    assertEquals(bind(process, second, a)[1], "0");
    process.exit();
    assertEquals(kernel.audit(), []);
  });
});

describe("DMA from device to device", () => {
  it("reaches a BAR by a DMA buffer, until that is taken back", () => {
    const bench = new Bench(new CopyEngine());
    const { kernel, process, iommufd, ioasId, memory } = bench;
    const other = kernel.addPciDevice(new CopyEngine());
    const [fd] = bind(process, other, iommufd);
    const data = new Uint8Array(8 + 16 + 16);
    const flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
    data.set(VfioDeviceFeature.encode({ argsz: data.length, flags }));
    data.set(VfioDeviceFeatureDmaBuf.encode({ nrRanges: 1, openFlags: 2 }), 8);
    data.set(VfioRegionDmaRange.encode({ length: 4096n }), 24);
    const buffer = process.ioctlStruct(fd, VFIO_DEVICE_FEATURE, data);
    assert(buffer > 0);
    const map = IommuIoasMapFile.encode({
      flags: 7,
      ioasId,
      fd: buffer,
      length: 4096n,
      iova: 0x800000n,
    });
    bench.call(iommufd, IommuIoasMapFile.ioctl.number, map);
    const copy = (source: number, target: number, length: number): number => {
      bench.store(0, 0x10, 8, source);
      bench.store(0, 0x18, 8, target);
      bench.store(0, 0x20, 4, length);
      bench.store(0, 0x08, 4, COPY_COMMAND_COPY);
      return bench.load(0, 0x04);
    };
    assertEquals(copy(0x800000, IOVA, 4), COPY_STATUS_DONE);
    assertEquals(new TextDecoder().decode(process.peek(memory, 4)), "DMA1");
    // It has the other one run a command.
    process.poke(memory, bytesOf(COPY_COMMAND_COPY));
    assertEquals(copy(IOVA, 0x800008, 4), COPY_STATUS_DONE);
    assertEquals(copy(0x800030, IOVA, 4), COPY_STATUS_DONE);
    assertEquals(process.peek(memory, 1), Uint8Array.of(1));
    process.close(fd);
    assertEquals(copy(0x800000, IOVA, 4) === COPY_STATUS_DONE, false);
    bench.end();
  });

  it("reads ones where no BAR is, and writes nowhere", () => {
    const { kernel } = machine({});
    const bytes = new Uint8Array(4);
    kernel.pci.read(MMIO_BASE, bytes);
    kernel.pci.write(MMIO_BASE, bytes);
    assertEquals(bytes, new Uint8Array(4).fill(0xff));
  });
});

describe("a place on a bus", () => {
  it("is free, and one that there can be", () => {
    const kernel = new Kernel();
    const add = (address: string) =>
      kernel.addPciDevice(new CopyEngine(), { address });
    add("0000:00:04.0");
    assertEquals(
      kernel.addPciDevice(new CopyEngine()).pci.name,
      "0000:00:05.0",
    );
    assertThrows(() => add("0000:00:04.0"), RangeError, "already");
    for (const address of ["0000:00:20.0", "00:04.0", "0000:00:04.8"]) {
      assertThrows(() => add(address), RangeError, "no address");
    }
    const device = new CopyEngine();
    assertThrows(() => device.dma, Error, "not in a machine");
    kernel.addPciDevice(device);
    assertThrows(() => kernel.addPciDevice(device), Error, "already");
    const old = new Kernel({ revision: "v3" });
    assertThrows(() => old.addPciDevice(new CopyEngine()), RangeError, "v3");
  });

  it("gives each BAR an address of its own, a multiple of its size", () => {
    class Large extends PciDevice {
      constructor() {
        super({
          vendor: 1,
          device: 2,
          class: 0,
          interruptPin: 0,
          msi: 0,
          flr: false,
          bars: [
            { size: 2 ** 29, wide: true, prefetchable: true },
            undefined,
            { size: 4, io: true },
            { size: 16 },
          ],
        });
      }
    }
    const kernel = new Kernel();
    const all = [new Large(), new Large()].map((device) =>
      kernel.addPciDevice(device).pci.barAddresses
    );
    const addresses = all.flat().filter((address) => address !== undefined);
    assertEquals(new Set(addresses).size, 6);
    assertEquals(addresses.every((address) => address >= MMIO_BASE), true);
    assertEquals(all[0]![0]! % 2 ** 29, 0);
    const { config } = kernel.vfio.devices[1]!.pci.device;
    assertEquals(config.read(0x10, 4) & 0xf, 0xc);
    assertEquals(config.read(0x14, 4), 1);
  });

  it("refuses what a device cannot be", () => {
    const make = (options: object) => () =>
      new (class extends PciDevice {
        constructor() {
          super({ vendor: 1, device: 1, class: 0, ...options });
        }
        declare(bar: number) {
          this.registers(bar, { X: { at: 0 } });
        }
      })();
    const bar = { size: 16, wide: true };
    assertThrows(make({ bars: [bar, { size: 16 }] }), RangeError, "no place");
    assertThrows(
      make({ bars: [, , , , , bar] }),
      RangeError,
      "no place",
    );
    for (const msix of [0, 2049, 1.5]) {
      assertThrows(make({ msix }), RangeError, "1 to 2048");
    }
    assertThrows(make({ msi: 3 }), RangeError, "1, 2, 4");
    assertThrows(() => make({ bars: [] })().declare(0), RangeError, "no BAR 0");
    make({ msi: 32, msix: 300 })();
  });
});
