// SPDX-License-Identifier: GPL-2.0-only

/** What happens while a device is being reset: only the device itself can tell. */

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { DmaFault } from "../../iommu/hardware/dma.ts";
import { PciDevice } from "../../pci/device.ts";
import { errnoName } from "../../uapi/errno.ts";
import { IOMMU_HWPT_ALLOC_PASID, IommuIoasAlloc } from "../../uapi/iommufd.ts";
import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  VFIO_DEVICE_RESET,
  VfioDeviceAttachIommufdPt,
  VfioDeviceDetachIommufdPt,
} from "../../uapi/mod.ts";
import { Bench, IOVA } from "../testing/bench.ts";

/** A device that does something while it is reset. */
class Watched extends PciDevice {
  during: () => void = () => {};

  constructor(pageRequests: boolean) {
    super({
      vendor: 0x1234,
      device: 1,
      class: 0xff0000,
      bars: [{ size: 4096 }],
      pasidBits: 8,
      pageRequests,
    });
  }

  protected override onReset(): void {
    this.during();
  }
}

/** A device in use, another IOAS, and what attaching to that says; with a PASID if there is one. */
function machine(hasAts: boolean) {
  const device = new Watched(hasAts);
  const bench = new Bench(device);
  const ioas = IommuIoasAlloc.encode();
  bench.call(bench.iommufd, IommuIoasAlloc.ioctl.number, ioas);
  const { outIoasId } = IommuIoasAlloc.decode(ioas);
  const attach = (pasid?: number, ptId = outIoasId) => {
    const bytes = VfioDeviceAttachIommufdPt.encode({
      ptId,
      ...pasid !== undefined && { argsz: 16, flags: 1, pasid },
    });
    const cmd = VFIO_DEVICE_ATTACH_IOMMUFD_PT;
    const ret = bench.process.ioctlStruct(bench.fd, cmd, bytes);
    return ret < 0 ? errnoName(ret) : "ok";
  };
  const reset = (during: () => void) => {
    device.during = during;
    assertEquals(bench.process.ioctl(bench.fd, VFIO_DEVICE_RESET, 0), 0);
    device.during = () => {};
  };
  return { bench, device, attach, reset };
}

describe("a device that is being reset", () => {
  it("has a group that nobody attaches, until it is over", () => {
    const { bench, attach, reset } = machine(true);
    const hwpt = bench.hwpt(IOMMU_HWPT_ALLOC_PASID);
    bench.attach(hwpt);
    const during: string[] = [];
    reset(() => during.push(attach(), attach(3, hwpt)));
    assertEquals(during, ["EBUSY", "EBUSY"]);
    assertEquals([attach(3, hwpt), attach()], ["ok", "EINVAL"]);
    bench.end();
  });

  it("is cut off from the IOMMU meanwhile, and stays detached if it was", () => {
    const { bench, device, reset } = machine(true);
    const bytes = new Uint8Array(4);
    reset(() => {
      device.config.write(4, 2, 4);
      assertThrows(() => device.dma.read(IOVA, bytes), DmaFault, "blocks");
    });
    device.dma.read(IOVA, bytes);
    reset(() => {
      const detach = VfioDeviceDetachIommufdPt.encode();
      bench.call(bench.fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, detach);
    });
    assertThrows(() => device.dma.read(IOVA, bytes), DmaFault, "blocks");
    bench.end();
  });

  it("is attached all the same without ATS", () => {
    const { bench, attach, reset } = machine(false);
    reset(() => assertEquals(attach(), "ok"));
    bench.end();
  });
});
