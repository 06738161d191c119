// SPDX-License-Identifier: GPL-2.0-only

/** Devices that are unlike most: without interrupts or a reset, with capabilities that nobody knows; and what the kernel asks of users. */

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IommufdClient } from "../../client/client.ts";
import { IommufdError } from "../../client/error.ts";
import { VfioDevice } from "../../client/vfio_device.ts";
import { Device } from "../../iommu/device.ts";
import { Kernel } from "../../kernel.ts";
import { plus, toIova } from "../../lib/brands.ts";
import { makeFrameList } from "../../lib/frame_list.ts";
import { CopyEngine } from "../../pci/devices/copy_engine.ts";
import { PciDevice, type PciDeviceOptions } from "../../pci/device.ts";
import type { PciPagingDomain } from "../../pci/iommu.ts";
import { EADDRINUSE, ENODEV, EOPNOTSUPP, errnoName } from "../../uapi/errno.ts";
import { IOMMU_HWPT_ALLOC_NEST_PARENT } from "../../uapi/iommufd.ts";
import { RLIMIT_NOFILE } from "../../uapi/mman.ts";
import {
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FEATURE_DMA_BUF,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_SET_CONTAINER,
  VfioDeviceFeature,
  VfioDeviceFeatureDmaBuf,
  VfioRegionDmaRange,
} from "../../uapi/mod.ts";
import { bytesOf } from "../testing/bench.ts";

/** A device of nothing but what is said. */
class Odd extends PciDevice {
  constructor(options: Partial<PciDeviceOptions> = {}) {
    super({ vendor: 1, device: 2, class: 0xff0000, ...options });
  }
}

function bound(device: PciDevice) {
  const kernel = new Kernel();
  const vfio = kernel.addPciDevice(device);
  const process = kernel.spawn();
  const iommufd = IommufdClient.open(process);
  const client = VfioDevice.open(process);
  client.bind(iommufd);
  const eventfd = process.eventfd(0, 0);
  const counted = (): number => {
    const bytes = new Uint8Array(8);
    return process.read(eventfd, bytes) === 8 ? bytes[0]! : 0;
  };
  const end = () => {
    process.exit();
    assertEquals(kernel.audit(), []);
  };
  return { kernel, vfio, process, iommufd, client, eventfd, counted, end };
}

function refused(call: () => unknown): string {
  return assertThrows(call, IommufdError).errno.name;
}

describe("a device without", () => {
  it("interrupts and a reset says so", () => {
    const options = { interruptPin: 0, msi: 0, flr: false, bars: [] };
    const { client, end } = bound(new Odd(options));
    assertEquals(client.info().flags, 2);
    assertEquals([0, 1, 2, 3].map((i) => client.irqs(i).count), [0, 0, 0, 1]);
    assertEquals(refused(() => client.reset()), "EINVAL");
    assertEquals(refused(() => client.trigger({ index: 0 })), "EINVAL");
    client.store(7, 0xa8, 0x8000, 2);
    assertEquals(client.load(7, 0xa8, 2) & 0x8000, 0);
    end();
  });

  it("a known capability shows the others", () => {
    const device = new Odd();
    const { config } = device;
    // Vital product data at the end, and two extended ones that are not shown.
    config.set(0xa1, 1, 0xe0);
    config.declare(0xe0, 4, 0x0003);
    config.set(0x100, 4, 0x150 * 2 ** 20 + 0x1001b);
    config.set(0x150, 4, 0x200 * 2 ** 20 + 0x1000e);
    config.declare(0x200, 4, 0x10023);
    const { client, end } = bound(device);
    assertEquals(client.load(7, 0xa1, 1), 0);
    assertEquals(client.load(7, 0x100), 0x150 * 2 ** 20);
    assertEquals(client.load(7, 0x150), 0x1000e);
    end();
  });
});

describe("messages of MSI", () => {
  it("are as many as were switched on", () => {
    const { client, eventfd, counted, vfio, end } = bound(new Odd({ msi: 4 }));
    assertEquals(client.irqs(1).count, 4);
    client.connect({ index: 1 }, [eventfd, -1]);
    assertEquals(vfio.pci.device.usesMessages, true);
    const more = () => client.connect({ index: 1, start: 2 }, [eventfd]);
    assertEquals(refused(more), "EINVAL");
    client.setBusMaster(true);
    vfio.pci.device.msi(0);
    assertEquals(counted(), 1);
    client.store(7, 0x52, 0x70, 2);
    assertEquals(client.load(7, 0x52, 2) & 0x70, 0x10);
    client.disconnect(1);
    assertEquals(vfio.pci.device.usesMessages, false);
    end();
  });
});

describe("a user is told", () => {
  it("of errors, and that the kernel wants the device back", () => {
    const { vfio, client, eventfd, counted, process, end } = bound(new Odd());
    vfio.pci.device.reportError();
    assertEquals(vfio.request(), false);
    client.connect({ index: 3 }, [eventfd]);
    vfio.pci.device.reportError();
    assertEquals(counted(), 1);
    client.connect({ index: 4 }, [eventfd]);
    assertEquals([vfio.request(), counted()], [true, 1]);
    process.exit();
    vfio.pci.device.reportError();
    assertEquals(vfio.request(), false);
    end();
  });

  it("of a legacy interrupt that was asserted before", () => {
    const { vfio, client, eventfd, counted, end } = bound(new Odd());
    vfio.pci.device.intx = true;
    client.connect({ index: 0 }, [eventfd]);
    assertEquals(counted(), 1);
    end();
  });
});

describe("a device of a group", () => {
  it("is not opened where it cannot be attached", () => {
    const kernel = new Kernel();
    const { pci } = kernel.addPciDevice(new CopyEngine());
    const process = kernel.spawn();
    const iommufd = IommufdClient.open(process);
    const memory = process.mmap(0, 4096, 3, 0x22);
    const { ioasId } = iommufd.ioasAlloc();
    const window = { ioasId, userVa: memory, length: 4096, iova: 0xfee00000 };
    iommufd.ioasMap(window);
    iommufd.vfioIoasSet(ioasId);
    const group = process.open(`/dev/vfio/${pci.group!.id}`);
    process.poke(memory, bytesOf(iommufd.fd));
    assertEquals(process.ioctl(group, VFIO_GROUP_SET_CONTAINER, memory), 0);
    process.poke(memory, new TextEncoder().encode(`${pci.name}\0`));
    const open = () => process.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, memory);
    assertEquals(open(), -EADDRINUSE.code);
    iommufd.ioasUnmapAll(ioasId);
    assertEquals(open() > 0, true);
    process.exit();
    assertEquals(kernel.audit(), []);
  });
});

describe("a DMA buffer of a BAR", () => {
  it("needs a descriptor", () => {
    const { process, client, end } = bound(new CopyEngine());
    const data = new Uint8Array(40);
    const flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
    data.set(VfioDeviceFeature.encode({ argsz: 40, flags }));
    data.set(VfioDeviceFeatureDmaBuf.encode({ nrRanges: 1 }), 8);
    data.set(VfioRegionDmaRange.encode({ length: 4096n }), 24);
    process.setrlimit(RLIMIT_NOFILE, 4n);
    const ret = process.ioctlStruct(client.fd, VFIO_DEVICE_FEATURE, data);
    assertEquals(errnoName(ret), "EMFILE");
    end();
  });
});

describe("the IOMMU in front of PCI devices", () => {
  it("tells what it is, and refuses what it cannot do", () => {
    const kernel = new Kernel();
    const { pci } = kernel.addPciDevice(new Odd());
    const ops = pci.ops!;
    assertEquals(ops.hwInfo!(pci, 0).type, 1);
    assertEquals(ops.hwInfo!(pci, 1).bytes.length, 24);
    const throws = (call: () => unknown, errno: typeof ENODEV) =>
      assertEquals(errno.is(assertThrows(call)), true);
    throws(() => ops.hwInfo!(pci, 2), EOPNOTSUPP);
    const nest = IOMMU_HWPT_ALLOC_NEST_PARENT;
    const alloc = ops.domainAllocPagingFlags!.bind(ops);
    throws(() => alloc(pci, nest, undefined), EOPNOTSUPP);
    throws(() => alloc(pci, 0, {} as never), EOPNOTSUPP);
    const other = new Device(kernel.iommu, "other", ops);
    throws(() => ops.probeDevice!(other), ENODEV);
    ops.pageResponse!(pci, {} as never, {} as never);
  });

  it("has page tables that can be read back", () => {
    const kernel = new Kernel();
    const { pci } = kernel.addPciDevice(new Odd());
    const domain = pci.ops!.domainAllocPaging(pci) as PciPagingDomain;
    const iova = toIova(0x10000n);
    domain.mapRange(iova, 0x5000, 0x3000, 3);
    assertEquals(domain.iovaToPhys(plus(iova, 0x1000)), 0x6000);
    assertEquals(domain.iovaToPhys(plus(iova, 0x10000)), 0);
    const pfns = new Int32Array(3);
    domain.readPfns(iova, 3, pfns, 0);
    assertEquals([...pfns], [5, 6, 7]);
    const list = makeFrameList(4);
    assertEquals(domain.readRuns(iova, 3, list, 4), 3);
    assertEquals([list.pfns[0], list.npfns[0]], [5, 3]);
    assertEquals(domain.tracksDirty, false);
    assertEquals(domain.unmapRange(iova, 0x3000), 0x3000);
  });
});
