// SPDX-License-Identifier: GPL-2.0-only

/** A device without an IOMMU. */

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../../kernel.ts";
import {
  COPY_COMMAND_FILL,
  COPY_STATUS_DONE,
  COPY_STATUS_FAULT,
  CopyEngine,
} from "../../pci/devices/copy_engine.ts";
import { MMIO_BASE } from "../../pci/bus.ts";
import { EINVAL } from "../../uapi/errno.ts";
import {
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
  VfioDeviceBindIommufd,
  VfioPciDependentDevice,
  VfioPciHotResetInfo,
} from "../../uapi/mod.ts";
import type { RevisionName } from "../../uapi/revision.ts";
import { Bench } from "../testing/bench.ts";

const NO_IOMMU = { iommu: false };

function machine(revision: RevisionName = "7.3") {
  const kernel = new Kernel({ revision, vfioNoIommu: true });
  return { kernel, device: kernel.addPciDevice(new CopyEngine(), NO_IOMMU) };
}

describe("a device without an IOMMU", () => {
  it("is VFIO's only where that is allowed", () => {
    const kernel = new Kernel();
    const add = () => kernel.addPciDevice(new CopyEngine(), NO_IOMMU);
    assertEquals(assertThrows(add), EINVAL);
  });

  it("has a group of its own, and its name says what it is", () => {
    const { kernel, device } = machine();
    assertEquals(device.pci.group, null);
    const { id } = device.group.iommuGroup;
    const files = [...kernel.devices.keys()]
      .filter((path) => path.includes("noiommu"));
    assertEquals(files, [
      `/dev/vfio/noiommu-${id}`,
      "/dev/vfio/devices/noiommu-vfio0",
    ]);
    const other = kernel.addPciDevice(new CopyEngine(), NO_IOMMU);
    assertEquals(other.group === device.group, false);
    kernel.vfio.remove(device.pci);
    assertEquals(kernel.devices.has(`/dev/vfio/noiommu-${id}`), false);
  });

  it("has only the group's file in Linux 6.12", () => {
    const { kernel } = machine("6.12");
    const files = [...kernel.devices.keys()]
      .filter((path) => path.includes("noiommu"));
    assertEquals(files.length, 1);
  });

  it("reaches memory that is pinned, and BARs, and nothing else", () => {
    const { kernel, device } = machine();
    const process = kernel.spawn();
    const iommufd = process.open("/dev/iommu");
    const fd = process.open("/dev/vfio/devices/noiommu-vfio0");
    const bytes = VfioDeviceBindIommufd.encode({ iommufd });
    assertEquals(process.ioctlStruct(fd, VFIO_DEVICE_BIND_IOMMUFD, bytes), 0);
    const { config, bars } = device.pci.device;
    config.write(4, 2, 6);
    const fill = (address: number) => {
      const words = new DataView(new ArrayBuffer(0x30));
      words.setBigUint64(0x18, BigInt(address), true);
      words.setUint32(0x20, 4, true);
      bars[0]!.write(0x18, new Uint8Array(words.buffer, 0x18, 12));
      bars[0]!.store(8, Uint8Array.of(COPY_COMMAND_FILL, 0, 0, 0));
      const status = new Uint8Array(4);
      bars[0]!.read(4, status);
      return status[0];
    };
    assertEquals(fill(0x5000), COPY_STATUS_FAULT);
    assertEquals(fill(MMIO_BASE), COPY_STATUS_DONE);
    process.exit();
  });

  it("is somebody else's where a bus is reset", () => {
    const bench = new Bench((kernel) =>
      kernel.addPciDevice(new CopyEngine(), { address: "0000:01:00.0" })
    );
    const other = bench.kernel.pci.add(new CopyEngine(), {
      address: "0000:01:00.1",
      ...NO_IOMMU,
    });
    assertEquals(other.group, null);
    const room = 12 + 2 * VfioPciDependentDevice.size;
    const bytes = new Uint8Array(room);
    bytes.set(VfioPciHotResetInfo.encode({ argsz: room }));
    bench.call(bench.fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, bytes);
    const entry = bytes.subarray(12 + VfioPciDependentDevice.size);
    const { devid } = VfioPciDependentDevice.decode(entry);
    assertEquals(devid, 0xffffffff);
    bench.end();
  });
});
