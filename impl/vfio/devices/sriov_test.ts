// SPDX-License-Identifier: GPL-2.0-only

/** Virtual functions of a device, and the tokens of who uses them. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../../kernel.ts";
import type { Process } from "../../kernel/simulated/process.ts";
import {
  COPY_COMMAND_COPY,
  COPY_STATUS_DONE,
  CopyEngine,
} from "../../pci/devices/copy_engine.ts";
import { Igb } from "../../pci/devices/igb/igb.ts";
import { PciDevice } from "../../pci/device.ts";
import { ENOMEM, errnoName, errnoOf } from "../../uapi/errno.ts";
import type { RevisionName } from "../../uapi/revision.ts";
import {
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
  VFIO_DEVICE_FEATURE_SET,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_SET_IOMMU,
  VfioDeviceBindIommufd,
  VfioDeviceFeature,
  VfioGroupStatus,
} from "../../uapi/mod.ts";
import type { VfioDevice } from "../device.ts";
import { REGION_STRIDE } from "../pci/regions.ts";
import { Bench, bytesOf, IOVA, numberFrom } from "../testing/bench.ts";

const UUID_1 = "52ac9bff-3a88-4fbd-901a-0d767c3b6c97";
const UUID_2 = "88594674-90a0-47a9-aea8-9d9b352ac08a";

/** A machine with a controller that has one virtual function, and a program. */
function machine(
  revision: RevisionName = "7.3",
  vfioContainer: "iommufd" | "type1" = "iommufd",
) {
  const kernel = new Kernel({ revision, vfioContainer });
  const pf = kernel.addPciDevice(new Igb());
  pf.pci.sriov!.setNumVfs(1);
  const [, vf] = kernel.vfio.devices;
  const process = kernel.spawn();
  return { kernel, pf, vf: vf!, process, iommufd: process.open("/dev/iommu") };
}

function tokenBytes(uuid: string): Uint8Array {
  const pairs = uuid.replaceAll("-", "").match(/../g)!;
  return Uint8Array.from(pairs, (pair) => parseInt(pair, 16));
}

function result(ret: number): string {
  return ret >= 0 ? "ok" : errnoName(ret);
}

/** Opens a device by its own file, and binds it; with a token if there is one. */
function bind(
  process: Process,
  device: VfioDevice,
  iommufd: number,
  uuid?: string,
) {
  const fd = process.open(`/dev/vfio/devices/vfio${device.index}`);
  const memory = process.mmap(0, 4096, 3, 0x22);
  if (uuid !== undefined) process.poke(memory, tokenBytes(uuid));
  const bytes = VfioDeviceBindIommufd.encode({
    argsz: VfioDeviceBindIommufd.size,
    flags: uuid === undefined ? 0 : 1,
    iommufd,
    tokenUuidPtr: BigInt(memory),
  });
  const ret = process.ioctlStruct(fd, VFIO_DEVICE_BIND_IOMMUFD, bytes);
  return { fd, ret: result(ret) };
}

/** The token of a device is another one from now on. */
function setToken(process: Process, fd: number, uuid: string): string {
  const flags = VFIO_DEVICE_FEATURE_PCI_VF_TOKEN | VFIO_DEVICE_FEATURE_SET;
  const bytes = new Uint8Array(24);
  bytes.set(VfioDeviceFeature.encode({ argsz: 24, flags }));
  bytes.set(tokenBytes(uuid), 8);
  return result(process.ioctlStruct(fd, VFIO_DEVICE_FEATURE, bytes));
}

describe("a device with virtual functions", () => {
  it("has none until it is told, and then devices with files and groups of their own", () => {
    const { kernel, pf, vf, process } = machine();
    assertEquals(vf.pci.name, "0000:00:14.0");
    assertEquals(vf.pci.physFn, pf.pci);
    assert(vf.pci.group !== pf.pci.group);
    for (const path of ["devices/vfio1", String(vf.pci.group!.id)]) {
      assert(kernel.devices.has(`/dev/vfio/${path}`), path);
    }
    const { id } = vf.pci.group!;
    pf.pci.sriov!.setNumVfs(0);
    assertEquals(kernel.vfio.devices, [pf]);
    assertEquals(kernel.vfio.groups.size, 1);
    assertEquals(kernel.devices.has("/dev/vfio/devices/vfio1"), false);
    assertEquals(kernel.devices.has(`/dev/vfio/${id}`), false);
    assertEquals(kernel.pci.functions.size, 1);
    process.exit();
    assertEquals(kernel.audit(), []);
  });

  it("tells in its capability how many there can be and where they are", () => {
    const { pf, kernel } = machine();
    const { config } = pf.pci.device;
    const at = config.findExtended(0x10);
    const words = [8, 0xc, 0xe, 0x10, 0x14, 0x16, 0x1a];
    assertEquals(words.map((word) => config.read(at + word, 2)), [
      0x9,
      7,
      7,
      1,
      0x80,
      2,
      0x10ca,
    ]);
    const [base] = kernel.vfio.devices[1]!.pci.barAddresses;
    assertEquals(pf.pci.sriov!.barAddresses[0], base);
    assertEquals(config.read(at + 0x24, 4) % 16, 0xc);
  });

  it("takes the number only if it can", () => {
    const { kernel, pf } = machine();
    const set = (count: number) =>
      errnoOf(() => pf.pci.sriov!.setNumVfs(count))?.name ?? "ok";
    assertEquals(set(8), "ERANGE");
    assertEquals(set(1), "ok", "the same again");
    assertEquals(set(2), "EBUSY");
    assertEquals(set(0), "ok");
    assertEquals(set(7), "ok");
    const names = [...kernel.pci.functions.keys()];
    assertEquals(names[7], "0000:00:15.4");
    kernel.vfio.enableSriov = false;
    assertEquals(set(0), "ENOENT");
    pf.pci.driver = undefined;
    assertEquals(set(0), "ENOENT");
    assertThrows(() =>
      kernel.vfio.configureSriov(pf.pci.sriov!.functions[0]!, 1)
    );
  });

  it("cannot take one away that is open, whose user is asked", () => {
    const { kernel, pf, vf, process, iommufd } = machine();
    bind(process, pf, iommufd, UUID_1);
    const { fd } = bind(process, vf, iommufd, UUID_1);
    const set = () => errnoOf(() => pf.pci.sriov!.setNumVfs(0))?.name;
    assertEquals(set(), "EBUSY");
    assertEquals(kernel.vfio.devices.length, 2);
    process.close(fd);
    assertEquals(set(), undefined);
    process.exit();
    assertEquals(kernel.audit(), []);
  });

  it("cannot take one away whose file is open, bound or not", () => {
    const { kernel, pf, vf, process } = machine();
    const fd = process.open(`/dev/vfio/devices/vfio${vf.index}`);
    const set = () => errnoOf(() => pf.pci.sriov!.setNumVfs(0))?.name;
    assertEquals(set(), "EBUSY");
    process.close(fd);
    assertEquals(set(), undefined);
    process.exit();
    assertEquals(kernel.audit(), []);
  });

  it("takes one out of a container whose group's file is open, which is of no use then", () => {
    const { kernel, pf, vf, process } = machine("7.3", "type1");
    const group = process.open(`/dev/vfio/${vf.pci.group!.id}`);
    const container = process.open("/dev/vfio/vfio");
    const set = Uint8Array.of(container, 0, 0, 0);
    assertEquals(process.ioctlStruct(group, VFIO_GROUP_SET_CONTAINER, set), 0);
    assertEquals(process.ioctl(container, VFIO_SET_IOMMU, 1), 0);
    pf.pci.sriov!.setNumVfs(0);
    const status = VfioGroupStatus.encode({ argsz: VfioGroupStatus.size });
    for (
      const [cmd, bytes] of [
        [VFIO_GROUP_GET_STATUS, status],
        [VFIO_GROUP_SET_CONTAINER, set],
      ] as const
    ) {
      const ret = process.ioctlStruct(group, cmd, bytes);
      assertEquals(errnoName(ret), "ENODEV");
    }
    process.exit();
    assertEquals(kernel.audit(), []);
  });

  it("is asked for so many as it can have, and takes all back if one cannot be had", () => {
    const kernel = new Kernel();
    const pci = kernel.pci.add(new CopyEngine({ vfs: 2 }));
    const enable = (count: number) =>
      errnoOf(() => pci.sriov!.enable(count))?.name ?? "ok";
    assertEquals([enable(3), enable(-1), enable(1), enable(1)], [
      "EINVAL",
      "EINVAL",
      "ok",
      "EINVAL",
    ]);
    pci.sriov!.disable();
    let probed = 0;
    pci.driver = {
      probe() {
        if (++probed === 2) throw ENOMEM;
      },
      remove() {},
      configureSriov() {},
    };
    assertEquals(enable(2), "ENOMEM");
    assertEquals([pci.sriov!.numVfs, kernel.pci.functions.size], [0, 1]);
    assertEquals(pci.device.config.read(0x168, 2), 0, "control");
  });

  it("keeps places and addresses for all", () => {
    const kernel = new Kernel();
    const [first, second] = [
      new CopyEngine({ vfs: 7 }),
      new CopyEngine({ vfs: 7 }),
    ]
      .map((device) => kernel.addPciDevice(device).pci);
    assertEquals([first!.sriov!.offset, second!.sriov!.offset], [0x80, 0x81]);
    const address = "0000:00:14.2";
    assertThrows(
      () => kernel.addPciDevice(new CopyEngine(), { address }),
      RangeError,
    );
    for (const pci of [first, second]) pci!.sriov!.setNumVfs(7);
    const starts = [...kernel.pci.functions.values()]
      .map(({ barAddresses }) => barAddresses[0]!);
    assertEquals(new Set(starts).size, 16);
  });

  it("has no BARs of ports, and none below a page", () => {
    class Virtual extends PciDevice {
      constructor(size: number, io: boolean) {
        super({ vendor: 1, device: 2, class: 0, bars: [{ size, io }] });
      }
    }
    class Physical extends PciDevice {
      constructor(size: number, io: boolean, vfs = 1) {
        const make = () => new Virtual(size, io);
        super({ vendor: 1, device: 1, class: 0, sriov: { vfs, make } });
      }
    }
    new Physical(4096, false);
    assertThrows(() => new Physical(2048, false), RangeError, "whole pages");
    assertThrows(() => new Physical(4096, true), RangeError, "are memory");
    assertThrows(() => new Physical(4096, false, 0), RangeError, "not 0");
  });

  it("stays awake while there are some", () => {
    const { pf, process, iommufd } = machine();
    const { fd } = bind(process, pf, iommufd);
    const memory = process.mmap(0, 4096, 3, 0x22);
    const at = 7 * REGION_STRIDE + 0x44;
    const sleep = () => {
      process.poke(memory, bytesOf(3));
      process.writeFrom(fd, memory, 1, at);
      process.readTo(fd, memory, 1, at);
      return numberFrom(process.peek(memory, 1));
    };
    assertEquals(sleep(), 0);
    pf.pci.sriov!.setNumVfs(0);
    assertEquals(sleep(), 3);
    pf.pci.sriov!.setNumVfs(1);
    process.readTo(fd, memory, 1, at);
    assertEquals(numberFrom(process.peek(memory, 1)), 0, "it was woken");
  });
});

describe("a virtual function", () => {
  it("looks to its user as any device", () => {
    const { pf, vf, process, iommufd } = machine();
    assertEquals(bind(process, pf, iommufd, UUID_1).ret, "ok");
    const { fd } = bind(process, vf, iommufd, UUID_1);
    const memory = process.mmap(0, 4096, 3, 0x22);
    const read = (at: number, count: number) => {
      process.readTo(fd, memory, count, 7 * REGION_STRIDE + at);
      return numberFrom(process.peek(memory, count));
    };
    assertEquals([read(0, 2), read(2, 2)], [0x8086, 0x10ca]);
    assertEquals(vf.pci.device.config.read(0, 2), 0xffff, "of the hardware");
    assertEquals(read(4, 2), 2, "memory answers");
    assertEquals(read(0x3d, 1), 0, "no legacy interrupt");
    process.poke(memory, bytesOf(0));
    process.writeFrom(fd, memory, 2, 7 * REGION_STRIDE + 4);
    assertEquals(read(4, 2), 0);
    assert(vf.core.memoryEnabled, "the bit means nothing to it");
    process.readTo(fd, memory, 4, 8);
    assertEquals(numberFrom(process.peek(memory, 4)), 0x80080481);
  });

  it("does DMA of its own", () => {
    const bench = new Bench((kernel) => {
      const pf = kernel.pci.add(new CopyEngine({ vfs: 2 }));
      pf.sriov!.enable(2);
      return kernel.vfio.add(pf.sriov!.functions[1]!);
    });
    bench.process.poke(bench.memory, bytesOf(0x12345678));
    bench.store(0, 0x10, 8, IOVA);
    bench.store(0, 0x18, 8, IOVA + 4096);
    bench.store(0, 0x20, 4, 4);
    bench.store(0, 0x08, 4, COPY_COMMAND_COPY);
    assertEquals(bench.load(0, 0x04), COPY_STATUS_DONE);
    const copied = bench.process.peek(bench.memory + 4096, 4);
    assertEquals(numberFrom(copied), 0x12345678);
    bench.end();
  });
});

describe("a token", () => {
  it("is needed for a virtual function, and the one that the device was opened with", () => {
    for (
      const [uuid, ret] of [[UUID_1, "ok"], [UUID_2, "EACCES"], [
        undefined,
        "EACCES",
      ]] as const
    ) {
      const { pf, vf, process, iommufd } = machine();
      const opened = bind(process, pf, iommufd, UUID_1);
      assertEquals(opened.ret, "ok");
      assertEquals(bind(process, vf, iommufd, uuid).ret, ret, uuid);
      process.close(opened.fd);
    }
  });

  it("stays when the device is closed, and can be changed by who has it", () => {
    const { pf, vf, process, iommufd } = machine();
    process.close(bind(process, pf, iommufd, UUID_1).fd);
    const { fd, ret } = bind(process, vf, iommufd, UUID_1);
    assertEquals(ret, "ok");
    assertEquals(bind(process, pf, iommufd).ret, "EACCES", "one is open");
    assertEquals(bind(process, pf, iommufd, UUID_2).ret, "EACCES");
    const opened = bind(process, pf, iommufd, UUID_1);
    assertEquals(opened.ret, "ok");
    process.close(fd);
    assertEquals(setToken(process, opened.fd, UUID_2), "ok");
    assertEquals(bind(process, vf, iommufd, UUID_1).ret, "EACCES");
    const last = bind(process, vf, iommufd, UUID_2);
    assertEquals(last.ret, "ok");
    assertEquals(setToken(process, last.fd, UUID_2), "ENOTTY");
    process.close(last.fd);
    process.close(opened.fd);
    assertEquals(bind(process, pf, iommufd).ret, "ok", "none is open");
  });

  it("is known to nobody at first", () => {
    const { vf, process, iommufd } = machine();
    assertEquals(bind(process, vf, iommufd, UUID_1).ret, "EACCES");
  });

  it("comes behind the name of a device in its group", () => {
    const { pf, vf, process, iommufd } = machine();
    bind(process, pf, iommufd, UUID_1);
    const memory = process.mmap(0, 4096, 3, 0x22);
    const group = process.open(`/dev/vfio/${vf.pci.group!.id}`);
    process.poke(memory, bytesOf(iommufd));
    assertEquals(process.ioctl(group, VFIO_GROUP_SET_CONTAINER, memory), 0);
    const open = (text: string) => {
      process.poke(memory, new TextEncoder().encode(`${text}\0`));
      return result(process.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, memory));
    };
    const { name } = vf.pci;
    assertEquals(open(name), "EACCES");
    assertEquals(open(`${name} vf_token=${UUID_2}`), "EACCES");
    assertEquals(open(`${name} vf_token=${UUID_1}x`), "EINVAL");
    assertEquals(
      open(`${name} vf_token=${UUID_1} vf_token=${UUID_1}`),
      "EINVAL",
    );
    assertEquals(open(`${name}   vf_token=${UUID_1.toUpperCase()} `), "ok");
  });

  it("is of no use without virtual functions, or where VFIO has not the device", () => {
    const kernel = new Kernel();
    const device = kernel.addPciDevice(new CopyEngine());
    const pf = kernel.pci.add(new CopyEngine({ vfs: 1 }));
    pf.sriov!.enable(1);
    const vf = kernel.vfio.add(pf.sriov!.functions[0]!);
    const process = kernel.spawn();
    const iommufd = process.open("/dev/iommu");
    for (const one of [device, vf]) {
      assertEquals(bind(process, one, iommufd, UUID_1).ret, "EINVAL");
      assertEquals(bind(process, one, iommufd).ret, "ok");
    }
  });

  it("is asked for by groups alone in Linux 6.12", () => {
    const { vf, process, iommufd } = machine("6.12");
    assertEquals(bind(process, vf, iommufd).ret, "ok");
  });
});
